# `make` lists the targets. Everything is set up on the way: packages, LibTorch, build.

BUILD ?= build
PRESET ?= release
OUT ?= out/demo

.PHONY: help
help:
	@echo "make demo     set up, build, run cases/grpo-tiny.json and write $(OUT)/report.md"
	@echo "make test     set up, build, run all tests"
	@echo "make build    set up and build $(BUILD)/samebits"
	@echo "make setup    install what is missing: Debian packages, LibTorch into .deps/"
	@echo "make install  build and install bin/samebits under PREFIX=$(PREFIX)"
	@echo "make bench    build and run the benchmarks behind docs/speed.md"
	@echo "make asan     run unit tests under AddressSanitizer and UBSan"
	@echo "make fuzz     fuzz every parser for 60 s (needs clang)"
	@echo "make lint     clang-format and clang-tidy, both of pinned versions"
	@echo "make clean    remove build folders; .deps/ stays"
	@echo
	@echo "SAMEBITS_TORCH=DIR  use the torch installed in DIR (the folder with include/ and lib/)"

.PHONY: setup
setup:
	@tools/setup

.PHONY: build
build: setup
	@tools/build $(PRESET)

# A demo starts afresh: a run folder is never written over.
.PHONY: demo
demo: setup
	@tools/build $(PRESET) --target samebits
	@rm -rf $(OUT)
	@$(BUILD)/samebits run cases/grpo-tiny.json --out $(OUT)
	@echo "The whole report: $(OUT)/report.md"

.PHONY: test
test: build  # the tests' own programs do not set this; they run side by side
	@OMP_WAIT_POLICY=passive ctest --test-dir $(BUILD) --output-on-failure -j $$(nproc)

PREFIX ?= /usr/local
.PHONY: install
install: setup
	@tools/build $(PRESET) --target samebits
	@cmake --install $(BUILD) --prefix $(PREFIX)

.PHONY: bench
bench: build
	@$(BUILD)/samebits bench

.PHONY: asan
asan: setup
	@tools/asan

.PHONY: fuzz
fuzz:
	@tools/fuzz 60

.PHONY: lint
lint: setup
	@tools/lint

.PHONY: clean
clean:
	@rm -rf build build-*
