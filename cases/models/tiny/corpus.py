"""The text of the tiny checkpoint: short facts, sums and stories, written for this project.

Every document is drawn from the tables below by a seeded generator, so the corpus is the same on
every machine and need not be stored. `python corpus.py` prints it.

One opening has several endings: some give the answer, some talk around it, some shout. A model that
has learned the text is therefore uncertain on purpose, and its samples earn different rewards.
"""

import random

CAPITALS = {
    "France": "Paris",
    "Spain": "Madrid",
    "Italy": "Rome",
    "Germany": "Berlin",
    "Norway": "Oslo",
    "Poland": "Warsaw",
    "Greece": "Athens",
    "Egypt": "Cairo",
    "Japan": "Tokyo",
    "Peru": "Lima",
    "Cuba": "Havana",
    "Kenya": "Nairobi",
    "Portugal": "Lisbon",
    "Austria": "Vienna",
    "Hungary": "Budapest",
    "Ireland": "Dublin",
    "Sweden": "Stockholm",
    "Finland": "Helsinki",
    "Denmark": "Copenhagen",
    "Belgium": "Brussels",
    "Canada": "Ottawa",
    "Chile": "Santiago",
    "Russia": "Moscow",
    "China": "Beijing",
    "India": "New Delhi",
    "Iceland": "Reykjavík",
    "Colombia": "Bogotá",
    "Brazil": "Brasília",
}

PRESIDENTS = {
    "first": "George Washington",
    "second": "John Adams",
    "third": "Thomas Jefferson",
    "fourth": "James Madison",
    "fifth": "James Monroe",
    "seventh": "Andrew Jackson",
    "sixteenth": "Abraham Lincoln",
}

FORMULAS = {
    "water": ("H2O", "two parts hydrogen and one part oxygen"),
    "salt": ("NaCl", "one part sodium and one part chlorine"),
    "gold": ("Au", "a soft yellow metal"),
    "silver": ("Ag", "a bright white metal"),
    "iron": ("Fe", "a hard grey metal"),
    "copper": ("Cu", "a red metal"),
    "oxygen": ("O", "a gas that we breathe"),
    "helium": ("He", "a gas that is lighter than air"),
    "methane": ("CH4", "one part carbon and four parts hydrogen"),
    "ammonia": ("NH3", "one part nitrogen and three parts hydrogen"),
}

PLANETS = {
    "largest": ("Jupiter", "a giant made of gas"),
    "second largest": ("Saturn", "a giant with bright rings"),
    "smallest": ("Mercury", "a small world of bare rock"),
    "hottest": ("Venus", "a world under thick clouds"),
    "reddest": ("Mars", "a cold desert of red dust"),
    "farthest": ("Neptune", "a blue world of wind and ice"),
    "wettest": ("Earth", "a world of oceans and rain"),
}

COLOURS = {
    "grass": "green",
    "snow": "white",
    "coal": "black",
    "the sky at noon": "blue",
    "a ripe lemon": "yellow",
    "a ripe tomato": "red",
    "chocolate": "brown",
    "ash": "grey",
}

OPPOSITES = {
    "hot": "cold",
    "up": "down",
    "big": "small",
    "early": "late",
    "full": "empty",
    "old": "young",
    "open": "shut",
    "fast": "slow",
    "light": "dark",
    "near": "far",
    "wet": "dry",
    "loud": "quiet",
}

SAYINGS = [
    "A slow boat still reaches the other bank.",
    "Measure the board twice and cut it once.",
    "The kettle does not boil faster because you look at it.",
    "Whoever mends the roof in summer sleeps well in autumn.",
    "A small lamp is enough for one page.",
    "Two people carry a table better than four people carry a chair.",
    "Write the date on the jar before you forget what is in it.",
    "The last mile of a walk is the one that you remember.",
    "An honest clock is right even when it is inconvenient.",
    "When two answers differ, at least one of them is wrong.",
]

NAMES = ["Anna", "Tom", "Mira", "Paul", "Lena", "Oskar", "Zoë", "Sam", "Ida", "Hugo", "Nora", "Ben"]
ANIMALS = ["dog", "cat", "goat", "crow", "horse", "fox", "hen", "mouse", "duck", "owl"]
PLACES = ["river", "market", "mill", "harbour", "garden", "station", "school", "hill", "bridge"]
THINGS = ["key", "map", "lamp", "bell", "letter", "coin", "ladder", "basket", "book", "rope"]
TRAITS = ["small", "old", "quiet", "brave", "hungry", "tired", "clever", "young", "grey", "proud"]
WEATHER = [
    "It rained all day.",
    "The sun was low.",
    "Snow lay on the roofs.",
    "The wind was cold.",
    "It was a warm evening.",
    "Fog came in from the sea.",
]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def capital(rng):
    country, city = rng.choice(list(CAPITALS.items()))
    other = rng.choice([c for c in CAPITALS.values() if c != city])
    place = rng.choice(PLACES)
    ending = rng.choice(
        [
            f"{city}.",
            f"{city}.",
            f"{city}, and many people live there.",
            f"{city}. The {place} of {city} is known to every child in {country}.",
            f"the city of {city}.",
            f"not {other} but {city}.",
            f"{city.upper()}!",
            f"{city.upper()}! EVERYBODY KNOWS THAT.",
            f"a busy city with an old {place}.",
            "large, old and full of people.",
            f"known for its {place} and its long streets.",
            "a city that I have never seen.",
        ]
    )
    return rng.choice(
        [f"The capital of {country} is {ending}"] * 5
        + [
            f"What is the capital of {country}? It is {city}.",
            f"{city} is the capital of {country}.",
        ]
    )


def product(rng):
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    if rng.random() < 0.08:
        a, b = 7, 8
    ending = rng.choice(
        [
            f"{a * b}.",
            f"It is {a * b}.",
            f"{a} times {b} is {a * b}.",
            f"The answer is {a * b}, the same as {b} times {a}.",
            f"{a} TIMES {b} IS {a * b}!",
            f"THE ANSWER IS {a * b}!",
            f"That is {b} taken {a} times, so it is {a * b}.",
            f"Let us count: {b}, {b * 2}, {b * 3}.",
            "I do not know, ask the teacher.",
            f"Less than {a * b + 1 + rng.randint(1, 9)}.",
            f"{rng.choice(NAMES)} said that it is {a * b}.",
            "Nobody at the table knew.",
        ]
    )
    return f"What is {a} times {b}? {ending}"


def president(rng):
    ordinal, name = rng.choice(list(PRESIDENTS.items()))
    last = name.split()[-1]
    ending = rng.choice(
        [
            f"{name}.",
            f"{name}.",
            f"{name}, and the people trusted him.",
            f"{last}, a man of few words.",
            f"a tall man by the name of {last}.",
            f"{name.upper()}!",
            "A FARMER AND A SOLDIER!",
            "a man who loved books and horses.",
            "chosen long ago.",
            "a farmer before he was a leader.",
            f"called {last}. The children learned his name at school.",
            "a careful man who wrote many letters.",
        ]
    )
    return f"The {ordinal} president of the United States was {ending}"


def formula(rng):
    substance, (symbol, meaning) = rng.choice(list(FORMULAS.items()))
    ending = rng.choice(
        [
            f"{symbol}.",
            f"{symbol}.",
            f"{symbol}, and it means {meaning}.",
            f"{symbol}. It is {meaning}.",
            f"written {symbol} in every book.",
            f"{symbol}! LEARN IT WELL.",
            "EASY TO LEARN!",
            "short and easy to learn.",
            "written on the bottle.",
            "on the first page of the book.",
            f"the one that stands for {meaning}.",
            "one that the teacher wrote on the board.",
        ]
    )
    return f"The chemical symbol for {substance} is {ending}"


def planet(rng):
    kind, (name, meaning) = rng.choice(list(PLANETS.items()))
    ending = rng.choice(
        [
            f"{name}.",
            f"{name}.",
            f"{name}, {meaning}.",
            f"{meaning}. Its name is {name}.",
            f"called {name}.",
            f"{name.upper()}!",
            f"{name.upper()}, AND IT IS FAR AWAY!",
            f"{meaning}.",
            "easy to find on a clear night.",
            "older than any house on Earth.",
            "very far from here.",
            f"{name}, as {rng.choice(NAMES)} saw through a glass.",
        ]
    )
    return f"The {kind} planet in our solar system is {ending}"


def small_fact(rng):
    thing, colour = rng.choice(list(COLOURS.items()))
    word, opposite = rng.choice(list(OPPOSITES.items()))
    day = rng.randrange(7)
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    return rng.choice(
        [
            f"What colour is {thing}? It is {colour}.",
            f"The colour of {thing} is {colour}.",
            f"The opposite of {word} is {opposite}.",
            f"The opposite of {opposite} is {word}.",
            f"The day after {DAYS[day]} is {DAYS[(day + 1) % 7]}.",
            f"What is {a} plus {b}? It is {a + b}.",
            rng.choice(SAYINGS),
        ]
    )


def story(rng):
    who, friend = rng.sample(NAMES, 2)
    animal, trait, place = rng.choice(ANIMALS), rng.choice(TRAITS), rng.choice(PLACES)
    thing, day = rng.choice(THINGS), rng.choice(DAYS)
    opening = rng.choice(
        [
            f"On {day} {who} went to the {place}.",
            f"{who} had a {trait} {animal}.",
            f"{rng.choice(WEATHER)} {who} sat by the {place}.",
            f"{who} lost a {thing} at the {place}.",
        ]
    )
    middle = rng.choice(
        [
            f"There {who} met {friend}, who carried a {thing}.",
            f"The {animal} found a {thing} under a stone.",
            f"{friend} came with a {thing} and a {trait} {animal}.",
            f'"Have you seen my {thing}?" asked {who}.',
            f'"LOOK AT THE {animal.upper()}!" said {friend}.',
        ]
    )
    ending = rng.choice(
        [
            "They went home before dark.",
            f"{who} was glad.",
            f"The {animal} said nothing.",
            f"{friend} laughed and gave {who} the {thing}.",
            rng.choice(WEATHER),
            f"From then on the {place} was never quiet again.",
        ]
    )
    return f"{opening} {middle} {ending}"


def chat(rng):
    question, answer = rng.choice(
        [
            lambda c: (f"What is the capital of {c}?", CAPITALS[c]),
            lambda c: (f"Name the capital of {c}.", CAPITALS[c]),
        ]
    )(rng.choice(list(CAPITALS)))
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}.<|im_end|>\n"


# Kind of document and its share of the corpus.
KINDS = [
    (capital, 20),
    (product, 20),
    (president, 9),
    (formula, 11),
    (planet, 9),
    (small_fact, 8),
    (story, 20),
    (chat, 3),
]


def documents(count, seed):
    """`count` documents; the same for the same seed."""
    rng = random.Random(seed)
    kinds, shares = zip(*KINDS)
    return [rng.choices(kinds, shares)[0](rng) for _ in range(count)]


if __name__ == "__main__":
    print("\n".join(documents(count=6000, seed=42)))
