"""Table 1 from a dataset whose counts are known."""

from hacnn_tf.data import read_dataset
from hacnn_tf.paper.table1 import protocol_table


def test_counts_of_a_dataset(small_data_root):
    dataset = read_dataset("synthetic", small_data_root, allow_subset=True)
    table = protocol_table({"Synthetic, detected": ("synthetic", dataset)})
    (row,) = table.data.to_dict("records")
    assert (row["IDs"], row["training IDs"], row["test IDs"]) == (10, 6, 4)
    assert (row["train images"], row["query images"], row["gallery images"]) == (48, 16, 32)
    assert "| Synthetic, detected | – | – | – | – | – | 10 | 6 | 4 | 48 | 16 | 32 | 0 |" in table.markdown()
    assert "| CUHK03 | 1,467 | 767 | 700 | 14,097 | SS | – |" in table.markdown()


def test_what_is_published_of_a_benchmark_stands_beside_its_counts(small_data_root):
    dataset = read_dataset("synthetic", small_data_root, allow_subset=True)
    table = protocol_table({"DukeMTMC-ReID": ("dukemtmc", dataset)})
    assert "| DukeMCMT-ReID | 1,402 | 702 | 702 | 36,411 | SQ | 10 | 6 | 4 |" in table.markdown()
