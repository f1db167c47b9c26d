"""What a search found, as a page."""

from hacnn_tf.gallery.results import as_page


def test_names_of_databases_and_datasets_are_no_html():
    content = as_page("/<i>/people.lance", [], ["On cameras like those of <script>doors</script>."])
    assert "<h1>People in /&lt;i&gt;/people.lance</h1>" in content
    assert "<p>On cameras like those of &lt;script&gt;doors&lt;/script&gt;.</p>" in content
    assert "<i>" not in content and "<script>" not in content
