"""What a search found, as a page."""

import pandas as pd

from hacnn_tf.gallery.naming import DISTANCE
from hacnn_tf.gallery.results import as_page, as_text


def test_names_of_databases_and_datasets_are_no_html():
    content = as_page("/<i>/people.lance", [], ["On cameras like those of <script>doors</script>."])
    assert "<h1>People in /&lt;i&gt;/people.lance</h1>" in content
    assert "<p>On cameras like those of &lt;script&gt;doors&lt;/script&gt;.</p>" in content
    assert "<i>" not in content and "<script>" not in content


def test_names_of_cameras_write_no_lines_of_their_own():
    found = pd.DataFrame({DISTANCE: [0.5], "camid": ["9\n2 0.1 \x1b[2J"], "time": [pd.NaT], "path": ["a.jpg"]})
    header, line = as_text(found).splitlines()
    assert "camera" in header and r"\n2 0.1 \x1b[2J" in line
