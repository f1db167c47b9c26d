"""What needs neither TensorFlow nor Keras runs where neither is installed, and does not load what it does not need."""

import subprocess
import sys

import numpy as np
import pytest

# As in an environment without them: whoever imports one is told that there is none.
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run(script, *args):
    command = [sys.executable, "-c", WITHOUT + script, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_what_it_needs_and_nothing_else():
    loaded = run("from hacnn_tf import ReID; print(*(name for name in sys.modules if name.startswith('hacnn_tf')))")
    rooms = {name.split(".")[1] for name in loaded.split() if "." in name}
    assert rooms == {"reid", "preset", "data", "export", "utils"}
    assert not {"hacnn_tf.utils.cli", "hacnn_tf.utils.signals", "hacnn_tf.data.synthetic"} & set(loaded.split())
    heavy = run("from hacnn_tf import ReID; print(*({'pandas', 'scipy', 'h5py', 'matplotlib'} & sys.modules.keys()))")
    assert heavy == "\n"


@pytest.mark.parametrize("form", ["onnx", "openvino", "litert"])
def test_an_export_gives_its_features(form, programs, features, tmp_path):
    script = "import numpy as np; from hacnn_tf import ReID\n"
    script += "np.save(sys.argv[1], ReID.from_preset(sys.argv[2]).embed(sys.argv[3:]))"
    run(script, tmp_path / "features.npy", programs(form), *features[1])
    np.testing.assert_allclose(np.load(tmp_path / "features.npy"), features[0], atol=1e-5)


def test_what_needs_them_says_so(exported):
    script = "import hacnn_tf\n"
    script += "for place in sys.argv[1:]:\n"
    script += "    try: hacnn_tf.ReID.from_preset(place)\n"
    script += "    except hacnn_tf.InputError as error: print(error)"
    places = ["hacnn_cuhk03_detected", exported, exported / "saved_model"]
    sentences = run(script, *places).splitlines()
    assert len(sentences) == len(places)
    assert all("is not installed: pip install" in sentence for sentence in sentences)


def test_images_are_indexed_and_found(programs, features, tmp_path):
    pytest.importorskip("lancedb")
    script = "from hacnn_tf import index, search\n"
    script += "file, folder, query, people = sys.argv[1:]\n"
    script += "index.COMMAND.run(index.main, ['index', '--model', file, '--images', folder, '--database', people])\n"
    script += "search.COMMAND.run(search.main, ['search', '--database', people, '--query', query, '--top', '1'])"
    query = features[1][0]
    said = run(script, programs("onnx"), query.rpartition("/")[0], query, tmp_path / "people.lance")
    assert f"{len(features[1])} added" in said and query in said.splitlines()[-1]


def test_the_page_is_made(programs, features, tmp_path):
    for name in ("lancedb", "gradio"):
        pytest.importorskip(name)
    script = "from hacnn_tf import ReID, app, index\n"
    script += "file, folder, people, shown = sys.argv[1:]\n"
    script += "index.COMMAND.run(index.main, ['index', '--model', file, '--images', folder, '--database', people])\n"
    script += "from hacnn_tf.gallery import Database\nfrom hacnn_tf.gallery.audit import Audit\n"
    script += "audit = Audit(None, 'hacnn_tf.app')\n"
    script += "page = app._import_browser(shown).page(Database(people), ReID.from_preset(file), audit)\n"
    script += "print(type(page).__name__)"
    folder = features[1][0].rpartition("/")[0]
    assert run(script, programs("onnx"), folder, tmp_path / "people.lance", tmp_path).endswith("Blocks\n")
