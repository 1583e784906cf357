"""ROOTS's own indicators on JSON lines of documents, by the code that made ROOTS: their values and the time.

Run by a Python that has numpy, pandas and emoji 1.6.1: `python roots_filters.py CODE documents.jsonl answers.jsonl`,
where CODE is the folder `preprocessing/training/01b_oscar_cleaning_and_filtering` of a checkout of data-preparation.
Language identification and perplexity need models and are left out; their libraries are replaced by empty modules.
"""

import json
import sys
import time
import types
from pathlib import Path


def main(code: Path, source: Path, target: Path) -> None:
    for absent in ("fasttext", "sentencepiece", "kenlm"):
        sys.modules[absent] = types.ModuleType(absent)
    sys.path.insert(0, str(code))
    from filtering import Filtering, LoadParameters, ModifyingDocuments

    lists: dict[str, dict[str, list[str]]] = {}
    seconds = 0.0
    with source.open(encoding="utf-8") as documents, target.open("w", encoding="utf-8") as answers:
        for line in documents:
            held = json.loads(line)
            language = held["language"]
            own = LoadParameters.load_parameters(language)
            stop, flagged = (LoadParameters.load_stopwords(language), LoadParameters.load_flagged_words(language))
            lists.setdefault(language, {"stopwords": sorted(stop), "flagged_words": sorted(flagged)})
            start = time.process_time()
            special = own["strip_characters"]
            text = ModifyingDocuments.modifying_documents(
                held["text"], own["cond_uniform_whitespace"], own["cond_replace_unicode_punctuation"],
                own["cond_remove_words_with_incorrect_substrings"], special, own["incorrect_word_substrings"],
                own["cond_remove_long_words"], own["length_word_max_cutoff"],
            )  # fmt: skip
            words = ModifyingDocuments.get_words_from_document(text, None, False, special)
            pairs = (
                own["cond_words_augmentation"], own["words_augmentation_group_sizes"],
                own["words_augmentation_join_char"],
            )  # fmt: skip
            values = {
                "words": len(words),
                "character_repetition": Filtering.compute_character_repetition_ratio(
                    text, own["character_repetition_length"]
                ),
                "word_repetition": Filtering.compute_word_repetition_ratio(
                    text, None, special, own["word_repetition_length"]
                ),
                "special_characters": Filtering.compute_special_characters_ratio(text, own["special_characters"]),
                "function_words": Filtering.compute_stopwords_ratio(text, None, special, *pairs, stop),
                "flagged_words": Filtering.compute_flagged_words_ratio(text, None, special, *pairs, flagged),
            }
            seconds += time.process_time() - start
            answers.write(json.dumps(values) + "\n")
        answers.write(json.dumps({"seconds": seconds, "lists": lists}) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
