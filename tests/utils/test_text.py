"""Names that may be anything, and a few of many things."""

from hacnn_tf.utils.text import preview, printable


def test_names_are_shown_as_they_are_unless_they_would_end_or_turn_a_line():
    for name in (
        "a b",
        "山田\u3000太郎",
        "Zo\u00eb\u00a0M.",
        "\u06a9\u062a\u0627\u0628\u200c\u0647\u0627",
        "👩\u200d🚒",
    ):
        assert printable(name) == name
    for name in ("a\nb", "\x1b[2J", "a\u202eb", "a\u2028b", "\udcff"):
        assert printable(name) == repr(name) and printable(name).isascii()


def test_some_of_many():
    assert preview([]) == ""
    assert preview(["a", 2, "c"]) == "a, 2, c"
    assert preview(range(2800)) == "0, 1, 2 and 2,797 more"
    assert preview(["a\nb", "x" * 1000], 1) == r"'a\nb' and 1 more"
    assert len(preview(["x" * 1000])) == 300
    assert preview(dict.fromkeys("abcd"), 4, "; ") == "a; b; c; d"
