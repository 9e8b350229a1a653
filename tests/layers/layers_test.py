"""A folder includes only what edges.json lists for it, and the map of folders in documents is that list. Run by ctest."""

import unittest

from edges import BEGIN, ROOT, allowed_edges, sources, unused, upward, violations, with_map


class LayersTest(unittest.TestCase):
    def setUp(self):
        self.allowed = allowed_edges()
        self.files = list(sources())
        self.assertGreater(len(self.files), 100)

    def test_every_include_is_an_edge_of_the_list(self):
        found = [line for path, text in self.files for line in violations(path, text, self.allowed)]
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_every_edge_of_the_list_is_used(self):
        self.assertEqual(unused(self.allowed, self.files), [])

    def test_no_edge_points_upwards(self):
        self.assertEqual(upward(self.allowed), [])

    def test_the_documents_have_the_list(self):
        pages = [page for page in sorted(ROOT.glob("docs/*.md")) if BEGIN in page.read_text()]
        self.assertGreater(len(pages), 0)
        for page in pages:
            self.assertEqual(page.read_text(), with_map(page.read_text(), self.allowed),
                             f"python3 tests/layers/edges.py --write {page.relative_to(ROOT)}")

    def test_an_include_that_is_no_edge_is_found(self):
        text = '#include "harness/compare/verdict.h"\n'
        self.assertEqual(len(violations("harness/model/qwen3.cpp", text, self.allowed)), 1)
        self.assertEqual(violations("harness/report/record.cpp", text, self.allowed), [])

    def test_a_relative_include_and_an_unknown_folder_are_found(self):
        self.assertEqual(len(violations("harness/base/json.cpp", '#include "json.h"\n', self.allowed)), 1)
        self.assertEqual(len(violations("harness/misc/x.h", "", self.allowed)), 1)

    def test_an_unused_and_an_upward_edge_are_found(self):
        edges = {"a": {"includes": ["b"]}, "b": {"includes": []}}
        self.assertEqual(upward(edges), [("a", "b")])
        self.assertEqual(unused(edges, []), [("a", "b")])


if __name__ == "__main__":
    unittest.main()
