"""sacrebleu's metrics: BLEU, chrF2 and TER.

Post (2018), A Call for Clarity in Reporting BLEU Scores, https://arxiv.org/abs/1804.08771

The text must be detokenised; sacrebleu tokenises it itself, so that scores can be compared. This needs sacrebleu, which
the extra `train` installs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmt.errors import UserError, how_to_install, imported
from nmt.scores.tokenizers import SCRIPTS, TOKENIZERS, language_code, script_language, tokenizer_for

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF


def make_bleu(target_language: str, tokenizer: str | None = None, *, effective_order: bool = False) -> BLEU:
    """sacrebleu's BLEU for a target language.

    It also serves as a check before a long training that BLEU can be computed.
    Raises UserError if sacrebleu or the tokeniser is missing or unknown.
    """
    found = imported("sacrebleu.metrics.bleu", "BLEU needs sacrebleu", "sacrebleu").BLEU
    name = tokenizer or tokenizer_for(target_language)
    if name not in found.TOKENIZERS:
        raise UserError(f"the BLEU tokeniser must be one of {', '.join(found.TOKENIZERS)}, but is `{name}` instead")
    try:
        # `force` only silences sacrebleu's own warning about tokenised text; an evaluation's notes have our warning.
        made: BLEU = found(tokenize=name, force=True, effective_order=effective_order)
        return made
    except (ImportError, RuntimeError, AssertionError, OSError) as error:
        if name in ("ja-mecab", "ko-mecab"):
            extra = name[:2]
            raise UserError(
                f"BLEU with the tokeniser `{name}` needs MeCab, which is not installed: "
                f"{how_to_install(f'[{extra}]')}, or choose the tokeniser `char`, which needs nothing"
            ) from None
        reason = " ".join(str(error).split())
        raise UserError(f"the BLEU tokeniser `{name}` cannot be loaded: {reason}") from None


@dataclass(frozen=True)
class Tokenizer:
    """The tokeniser of BLEU, and the reason for the choice."""

    name: str
    language: str
    """Code of the target language, if it is known."""
    reason: str | None = None
    """A sentence for the reader; None for 13a, and if the user named the tokeniser."""


def choose_tokenizer(target_language: str, references: Sequence[str] = (), tokenizer: str | None = None) -> Tokenizer:
    """The tokeniser for a target language, or for the script of the references if the language has 13a.

    If the package of a tokeniser (MeCab) is missing, `char` replaces it, and the reason says so.

    Parameters:
        target_language: name or code; `target` or another name of a column does not count as a language
        references: texts in that language
        tokenizer: the user's choice, which has priority
    """
    code = language_code(target_language)
    if tokenizer is not None:
        return Tokenizer(tokenizer, code)
    because = f"the target language is `{target_language}`"
    if code not in TOKENIZERS and (found := script_language(references)):
        code, because = found, f"the references are written in {SCRIPTS[found][0]} characters"
    name = tokenizer_for(code)
    if name == "13a":
        return Tokenizer(name, code)
    try:
        make_bleu(code)
    except UserError as error:
        if "MeCab" not in str(error):
            raise
        package = how_to_install(f"[{code}]")
        return Tokenizer(
            "char", code, f"BLEU counts characters (tokeniser `char`): {because}, but MeCab, which `{name}` needs, is "
            f"not installed ({package})"
        )  # fmt: skip
    reason = f"BLEU's tokeniser is `{name}` because {because}"
    if name == "char":
        reason += ", without spaces between words; TER takes each stretch without spaces as one word"
    return Tokenizer(name, code, reason)


def make_metrics(tokenizer: Tokenizer) -> list[Metric]:
    """BLEU, chrF2 and TER; raises UserError as `make_bleu`."""
    bleu_metric = make_bleu(tokenizer.language, tokenizer.name)
    from sacrebleu.metrics.ter import TER

    # Without these two, TER would count a whole Chinese or Japanese sentence as one word. The signature says so.
    asian = tokenizer.language in ("zh", "ja")
    return [bleu_metric, _plain_floats(make_chrf()), TER(normalized=asian, asian_support=asian)]


def make_chrf() -> CHRF:
    """sacrebleu's chrF2, which needs no tokeniser."""
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def _plain_floats(metric: CHRF) -> CHRF:
    """chrF whose sample scores are all Python floats: numpy floats make the computation of the interval fail."""
    compute = metric._compute_score_from_stats

    def plain(statistics: Any) -> Any:
        result = compute(statistics)
        result.score = float(result.score)
        return result

    metric._compute_score_from_stats = plain  # type: ignore[method-assign, assignment]  # no other way in
    return metric


@dataclass
class SentenceScore:
    """Scores of one sentence: useful for ordering sentences, but too coarse to judge a single one."""

    bleu: float
    """BLEU of the sentence, over the n-gram orders for which it is long enough (`eff:yes`)."""
    chrf: float


def sentence_scores(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], tokenizer: Tokenizer
) -> list[SentenceScore]:
    metric = make_bleu(tokenizer.language, tokenizer.name, effective_order=True)
    return [
        SentenceScore(float(metric.sentence_score(one, others).score), chrf)
        for one, *others, chrf in zip(hypotheses, *references, sentence_chrf(hypotheses, references), strict=True)
    ]


def sentence_chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    metric = make_chrf()
    return [
        float(metric.sentence_score(one, others).score) for one, *others in zip(hypotheses, *references, strict=True)
    ]


def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]], target_language: str) -> float:
    """BLEU alone, without intervals; raises UserError if the sets differ in length."""
    check_lengths(hypotheses, references)
    metric = make_bleu(target_language, choose_tokenizer(target_language, references[0]).name)
    return float(metric.corpus_score(hypotheses, references).score)


def check_lengths(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], sources: Sequence[str] | None = None
) -> None:
    """Raises UserError unless there are sentences, and all reference sets and the source have the same number."""
    if not references:
        raise UserError("an evaluation needs at least one set of references, but there is none")
    others = [(f"reference set {number}", reference) for number, reference in enumerate(references, start=1)]
    if sources is not None:
        others.append(("the source", sources))
    for name, other in others:
        if len(other) != len(hypotheses):
            raise UserError(
                f"there are {len(hypotheses)} hypotheses but {name} has {len(other)} sentences; "
                f"line N of one must belong to line N of the other"
            )
    if not hypotheses:
        raise UserError("there is nothing to evaluate: the set has 0 sentences")
