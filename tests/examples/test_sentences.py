"""MiniLM with its published weights: vectors are torch's, and what means the same is found."""

import numpy as np
import pytest

sentences = pytest.importorskip("examples.sentences")

SENTENCES = [
    "A man is eating food.",
    "The girl is carrying a baby.",
    "A man is riding a white horse on an enclosed ground.",
    "A monkey is playing drums.",
    "Someone in a gorilla costume is playing a set of drums.",
    "A cheetah is running behind its prey.",
]


@pytest.fixture(scope="module")
def encoder():
    return sentences.Encoder()


def test_text_is_split_as_the_vocabulary_asks(encoder) -> None:
    names = {number: piece for piece, number in encoder.split.numbers.items()}
    found = [names[number] for number in encoder.split("Café-unbelievably, don't 東京 ☃ \t x" + "y" * 101)]
    assert found == [
        "[CLS]", "cafe", "-", "un", "##bel", "##ie", "##va", "##bly", ",", "don", "'", "t", "東", "京",
        "[UNK]", "[UNK]", "[SEP]",
    ]  # fmt: skip


def test_what_means_the_same_is_found(encoder) -> None:
    for question, expected in (
        ("A man is having a meal.", SENTENCES[0]),
        ("An animal chases another one across a field.", SENTENCES[5]),
        ("Somebody dressed up as an ape makes music.", SENTENCES[4]),
    ):
        assert sentences.search(encoder, question, SENTENCES)[0][1] == expected
    vectors = encoder(SENTENCES)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def reference(torch, state: dict, pieces: list[int]) -> np.ndarray:
    """One sentence by the same network, written with torch's functions."""
    functional = torch.nn.functional

    def linear(x, name: str):
        return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x, name: str):
        return functional.layer_norm(x, (384,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-12)

    x = state["embeddings.word_embeddings.weight"][pieces]
    x = x + state["embeddings.position_embeddings.weight"][: len(pieces)]
    x = norm(x + state["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for i in range(6):
        name = f"encoder.layer.{i}"
        parts = [linear(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
        q, k, v = (part.reshape(len(pieces), 12, 32).transpose(0, 1) for part in parts)
        y = functional.scaled_dot_product_attention(q, k, v).transpose(0, 1).reshape(len(pieces), 384)
        x = norm(x + linear(y, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        y = linear(functional.gelu(linear(x, f"{name}.intermediate.dense")), f"{name}.output.dense")
        x = norm(x + y, f"{name}.output.LayerNorm")
    return functional.normalize(x.mean(0), dim=0).numpy()


def test_vectors_are_torchs(encoder) -> None:
    torch = pytest.importorskip("torch")
    state = {name: torch.tensor(tensor.numpy()) for name, tensor in encoder.model.state_dict().items()}
    found = encoder(SENTENCES)
    for vector, sentence in zip(found, SENTENCES):
        np.testing.assert_allclose(vector, reference(torch, state, encoder.split(sentence)), atol=2e-6)
