"""The settings of what makes bounds and models, one frozen dataclass a group; nothing slow is imported here."""

from dataclasses import dataclass, field

from filters.language_id.samples import Roughness


@dataclass(frozen=True)
class DeriveSettings:
    """How reference text is sampled and used."""

    sample: int = 5000  # documents at most
    seed: int = 0  # of the sample
    quantile: float = 0.01  # share of documents that each bound may drop
    least_characters: int = 200  # shorter documents say little about a share


@dataclass(frozen=True)
class LanguageIdTraining:
    """Everything that decides a model except the text."""

    seed: int = 1  # of the samples and the training
    count: int = 3000  # samples of a wanted language
    # labels of close languages
    paired: tuple[str, ...] = ("ind_Latn", "zsm_Latn", "kin_Latn", "run_Latn", "xho_Latn", "zul_Latn")
    pair_count: int = 8000  # samples of each of those: only many words tell close languages apart
    other_count: int = 250  # samples of another language at least
    other_most: int = 600  # samples of another language at most, unless it is in `near`
    near: tuple[str, ...] = (  # languages close to a wanted one
        *("ast", "bem", "bho", "fuv", "glg", "hau", "mag", "nbl", "oci", "pes", "prs", "ssw", "ven", "zsm"),
    )
    near_examples: int = 600  # of those, for the arbiter: it must learn to doubt the wanted language
    chars_a_sample: int = 40  # characters of text that allow one more sample of another language
    favoured: tuple[tuple[str, str, float], ...] = ()  # label, source, how many times as likely the source is
    held_out: int = 20  # one document in this many is kept for the arbiter
    examples: int = 200  # for the arbiter, of a wanted language, and of another one with much text
    other_examples: int = 15  # for the arbiter, of another language with little text
    rich: int = 50_000  # characters from which a language has much text
    strange: tuple[tuple[str, str], ...] = ()  # label, source: left out in the second round
    passing: float = 0.1  # share of the samples of `strange` that may pass for a wanted language
    lost: float = 0.125  # share of its own samples that a wanted language may lose for that
    dim: int = 16  # of a vector
    bucket: int = 190_000  # vectors of n-grams
    shortest_gram: int = 2  # characters
    longest_gram: int = 4  # characters
    rare: int = 20  # a word seen fewer times has no vector of its own, only those of its n-grams
    epochs: int = 6  # times that all samples are read
    rate: float = 0.8  # of learning, at first
    threads: int = 1  # with more, the same settings do not make the same model
    roughness: Roughness = field(default_factory=Roughness)  # how samples are made like web text


@dataclass(frozen=True)
class PerplexityTraining:
    """Everything that decides a language model except the text."""

    order: int = 5  # words of the longest n-gram
    prune: tuple[int, ...] = (0, 0, 1)  # n-grams seen at most this many times are left out, from 1-grams on
    memory: str = "40%"  # share of memory that the tool may use for sorting
    held_out: int = 100  # one document in this many is kept for measuring

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 6 or self.held_out < 2:
            raise ValueError("order must be from 1 to 6, held_out at least 2")


@dataclass(frozen=True)
class QualityTraining:
    """Everything that decides a classifier except the text."""

    seed: int = 1  # of the split and the training
    most: int = 200_000  # documents of each kind at most
    held_out: float = 0.1  # share of the documents kept for measuring
    dim: int = 32  # of a vector
    word_ngrams: int = 2  # words of the longest n-gram
    bucket: int = 200_000  # vectors of n-grams
    rare: int = 2  # a word seen fewer times has no vector of its own
    epochs: int = 5  # times that all documents are read
    rate: float = 0.3  # of learning, at first
    threads: int = 1  # with more, the same settings do not make the same model

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1 or min(self.most, self.dim, self.epochs, self.threads) < 1:
            raise ValueError("held_out must be between 0 and 1; most, dim, epochs and threads at least 1")


@dataclass(frozen=True)
class MainTextTraining:
    """Everything that decides a model of main text except the pages."""

    seed: int = 1  # of samples, trees and transplants
    folds: int = 4  # of sites, for the figures of the card; 1: none are measured
    keep_folds: bool = False  # write the model of every fold, too, and which page is in which
    trees: int = 100  # of each of the two forests
    rate: float = 0.12  # of learning
    penalty: float = 3.0  # on large values of leaves
    rows: float = 0.6  # share of blocks that a tree sees
    features: float = 0.3  # share of features that a tree may ask
    least_best: float = 0.6  # F1 of the best choice of blocks below which a page teaches nothing
    shortened: float = 0.5  # share of articles that are learned again with little of their main text
    transplants: int = 300  # real pages with text of other languages
    weights: tuple[tuple[str, float], ...] = ()  # source of pages, and how much more they count
    left_out: tuple[str, ...] = ()  # sources of pages that are only measured
