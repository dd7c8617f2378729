"""Splitting a line into sentences and joining them, by rules that do not depend on the language.

A full stop ends a sentence unless the word before it is an abbreviation or an ordinal number and the following word
agrees with that. The words below occur in newspapers and letters in European languages; if an abbreviation of one
language is a word of another, the following word decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SHORT = 5  # maximum number of words of an exclamation whose mark is kept
OTHER_QUESTION_MARKS = frozenset(("am", "ar", "ast", "el", "es", "fa", "gl", "hy", "ur"))
"""Languages whose questions end with another mark than ?, or begin with one too."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BEFORE_A_NAME = _words(
    # titles and the like: the name or the noun that they belong to always follows
    "Dr Drs Mr Mrs Ms Mx Prof Hr Hrn Fr Frl St Ste Gen Lt Col Capt Cpt Cmdr Maj Sgt Adm Gov Sen Rep Pres Rev Hon Msgr "
    "Mt Ft Mme Mmes Mlle Mlles MM Mgr Me Sra Srta Srs Dra Dña Sig Sigg Dott Avv Arch Ing Dipl Mag Kard Bgm dhr mevr "
    "mw drs Doç Yrd Sn MUDr JUDr PhDr RNDr Bc inż mgr dott sig гр тов им проф акад доц ул пл пер обл г-н г-жа д-р "
    "просп med rer nat phil jur habil डॉ प्रो श्री "
    # what explains or compares
    "vs cf vgl bzw ca sog evtl ggf bes insb inkl exkl zzgl einschl ehem geb gest verh gem lt approx incl viz resp "
    "aprox circa bijv tzn tzv np tj např esim ns ún pl e.g i.e z.b d.h u.a v.a i.d.r s.o s.u m.e p.ex p.ej d.w.z o.a "
    "m.b.t t.ex f.eks bl.a π.χ т.е напр"
)
_BEFORE_A_NUMBER = _words(
    "abb art abs anm aufl az bd bl jg kap nr no num núm nos ziff rn tab taf tel fax fig figs eq eqs ch sec sect vol "
    "pp par pg pág págs pag blz cap capít cl kl klo godz ver vers ex app apt ref ed op ser pos max min ст стр с рис "
    "табл гл п пп č čís sv str σελ αρ jan feb febr mar apr jun jul aug sep sept oct okt nov dec dez janv févr avr "
    "juil déc ene abr ago dic gen mag giu lug set ott"
)
_MAY_END = _words(
    # these end a sentence only where the following word begins one
    "etc usw usf ff ffg mio mrd tsd str inc ltd co corp bros jr sr dept univ ave av avda blvd rd sq al eds hrsg hg "
    "ecc enz osv jne itd itp atd apod stb vb u.s u.k u.n e.u d.c ph.d m.d b.a m.a u.s.a n.y l.a u.ä o.ä u.s.w a.d b.c "
    "d.d m.sc b.sc a.s т.д т.п др руб млн млрд тыс гг вв κ.λπ κ.ά ud uds vd vds ul nám"
)
ORDINALS_FOLLOW = _words(
    # German words before an ordinal number: its noun has a capital, as the next sentence would
    "der die das dem den des am im vom zum zur beim ab bis seit ein eine einen einem einer eines mein dein sein ihr "
    "unser meinem seinem ihrem unserem meinen seinen ihren unseren meine seine ihre unsere meiner seiner ihrer "
    "unserer jeder jede jedes jeden jedem dieser diese dieses diesen diesem und oder sowie kein keine"
)
MONTHS = _words("Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember")
BEGINS = _words(
    "The A An This That These Those There Here He She It We You They I My His Her Our Their Its Your In On At But And "
    "Or So If When While What Who Why How Where Which Is Are Was Were Do Does Did Has Have Had Can Could Will Would "
    "Should Yes No Not As For From After Before Then Now Let Let's Please It's I'm I've I'll He's She's We're They're "
    "You're That's There's Don't However Also Some Many Most All Everyone Nobody Today Yesterday Tomorrow Ich Du Er "
    "Sie Es Wir Ihr Der Die Das Den Dem Ein Eine Einen Mein Meine Sein Seine Ihre Unser Unsere Dieser Diese Dieses "
    "Aber Und Oder Denn Dann Danach Da Dort Hier Heute Gestern Morgen Jetzt Ja Nein Nicht Kein Keine Was Wer Wie Wo "
    "Wann Warum Wenn Weil Als Auch Doch Im Am Bei Nach Seit Für Man Alle Viele Je Tu Il Elle On Nous Vous Ils Elles "
    "Le La Les Un Une Des Ce Cela Ça C'est Cette Ces Mais Et Ou Où Quand Qui Que Comment Pourquoi Oui Non Mon Ma Mes "
    "Son Sa Ses Pour Dans Après Avant Yo Tú Él Ella Nosotros Ellos Ellas El Los Las Una Esto Esta Este Pero Y O Sí "
    "Cuando Quién Qué Cómo Dónde Mi Su Io Lei Lui Noi Loro Lo Gli Uno Questo Questa Ma E Sì Quando Chi Che Come Dove "
    "Perché Он Она Оно Они Я Ты Мы Вы Это Этот Эта Но А И В На Не Да Нет Как Что Кто Где Когда Почему Там Потом Мой "
    "Моя Его Её"
)
"""Frequent words at the beginning of a sentence, with their capital letter."""

_BULLET = r"[-–—•·*+◦‣⁃▪▫●○■□►▸→>✓✔✗✘]|#{1,6}|\[[ xX]?\]"
_NUMBER = r"\d{1,3}(?:\.\d{1,3})*+[.)]|\(\d{1,3}\)|(?:[a-zA-Z]|[ivxIVX]{2,5})\)|\((?:[a-zA-Z]|[ivxIVX]{2,5})\)"
_LIST_MARK = rf"\s*(?:{_BULLET}|({_NUMBER}))\s+"  # `re` compiles this one and others below when a line needs them
_LETTER = re.compile(r"[^\W\d_]")

_MARKS, _WIDE_MARKS = ".!?…", "。！？"
_OTHER_MARKS = "।॥؟۔։።፧။។៕"  # Indic, Arabic, Urdu, Armenian, Ethiopic, Burmese, Khmer
_ASCII_MARK = re.compile(r"[.!?]")
_MARK = rf"[{_MARKS}{_WIDE_MARKS}{_OTHER_MARKS};]"  # what `_SENTENCE_END` matches begins with one of them
# Possessive, and never begun inside a run of marks: the time stays linear in the length of the line.
_SENTENCE_END = (
    rf"""(?<![{_MARKS}])[{_MARKS}]++(?:["'”’»«“)\]]++|[ \u00a0\u202f]»(?=\s))?+(?=\s)"""  # French: a space is before »
    # Japanese and Chinese need no space after the mark; behind a closing quote the sentence often goes on.
    rf"""|(?<![{_WIDE_MARKS}])[{_WIDE_MARKS}]++(?:[」』”’）]++(?=\s|[「『“])|(?![」』”’）]))"""
    # Nor do the marks of the Indic scripts, Arabic, Urdu, Armenian, Ethiopic, Burmese and Khmer.
    rf"""|(?<![{_OTHER_MARKS}])[{_OTHER_MARKS}]++[.!?]*+["'”’»«“)\]]*+(?=\s|\w)"""
    # A Greek question mark: the semicolon, as Unicode composes it.
    r"""|(?<=[\u0370-\u03ff\u1f00-\u1fff]);(?=\s)"""
)
_NEXT = r"""[\s"'„“”‚‘’«»(\[¿¡–—-]*([^\s.,;:!?)\]"”»]*)"""
_WORD = r"[^\s(\[„“\"‚‘«–—/]+$"
_ELISION = r"(?i)^(?:'|(?:[cdjlmnst]|qu)['’](?=.))+"  # l'art. 5
_INITIALS = r"(?:(?<![^\s.(\[])[^\W\d_]\.\s?)+$"
_NO_SPACE_AFTER = r"[。！？][」』”’）]*$"
LOOKED_AT = 32  # number of characters before and after a mark that are examined to decide whether it ends a sentence


def split_sentences(text: str) -> list[str]:
    """The sentences of a line, without the white space around them (`sentence_spans`)."""
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """The start and end of each sentence of a line.

    One ends after `.`, `!`, `?` or `…` before a space, and after the marks of other scripts, such as `。`, `।` and `؟`;
    closing quotes and brackets belong to it. None ends before a lower-case letter (unless the whole line is
    lower-case), nor at the full stop of an abbreviation ("Goethestr. 5", "Dr. Who", "3 Mio. Euro", "the U.S. Army"), of
    initials or of an ordinal number ("am 3. Mai"). Takes time linear in the length of the line.
    """
    first = _ASCII_MARK.search(text) if text.isascii() else re.search(_MARK, text)
    if first is None or first.end() == len(text):  # most lines: one sentence
        sentence = text.strip()
        start = text.find(sentence)
        return [(start, start + len(sentence))] if sentence else []
    spans, start = [], 0
    lower_case = text.islower()
    for match in re.finditer(_SENTENCE_END, text):  # compiled for the first line of several sentences
        if match[0][0] in ".!?…" and not _ends(text, start, match, lower_case):
            continue
        spans.append((start, match.end()))
        start = match.end()
    spans.append((start, len(text)))
    stripped = []
    for start, end in spans:
        sentence = text[start:end]
        if sentence.strip():
            start += len(sentence) - len(sentence.lstrip())
            stripped.append((start, start + len(sentence.strip())))
    return stripped


def list_mark(text: str) -> int:
    """The length of the mark that makes a line a list item, a heading or a quotation, white space included.

    Such marks are `- `, `• `, `1. `, `a) `, `## `, `> ` or `- [ ] `; the length is 0 if there is none,
    or no word after it. In "3. Mai" and "1. místo" the number is an ordinal.
    """
    if text[:1].isalpha() and ")" not in text[:6]:  # most lines; `xviii)` is the longest mark that begins with a letter
        return 0
    end, mark = 0, re.compile(_LIST_MARK)
    while match := mark.match(text, end):
        if match[1] and match[1].endswith("."):
            word = text[match.end() : match.end() + LOOKED_AT].split(None, 1)[:1]
            if word and (word[0][0].islower() or word[0].strip(".,;:!?") in MONTHS):
                break
        end = match.end()
    return end if _LETTER.search(text, end) else 0


def _ends(text: str, start: int, match: re.Match[str], lower_case: bool) -> bool:
    """Whether a mark of a script with capital letters ends the sentence that begins at `start`."""
    before = text[max(start, match.start() - LOOKED_AT) : match.start()]
    following = re.match(_NEXT, text[match.end() : match.end() + LOOKED_AT])
    next_word = following[1] if following else ""
    if next_word[:1].islower() and not lower_case and not next_word[1:2].isupper():  # not so: iPads
        return False
    if match[0] != ".":
        return True
    word = re.search(_WORD, before)
    if word is None:
        return True
    previous = before[: word.start()].split()[-1:]
    return not _goes_on(
        re.sub(_ELISION, "", word[0]), "".join(previous), next_word.capitalize() if lower_case else next_word, before
    )


def _goes_on(word: str, previous: str, next_word: str, before: str) -> bool:
    """Whether a sentence goes on after a word with a full stop, which ends `before` and follows `previous`."""
    begins = next_word.partition("’")[0] in BEGINS or next_word in BEGINS
    if word.isdecimal():
        if len(word) > 2:
            return False
        return not previous or previous.lower() in ORDINALS_FOLLOW or next_word in MONTHS
    initials = re.search(_INITIALS, before + ".")
    dotted = re.sub(r"\s", "", initials[0]).removesuffix(".") if initials else word
    key = dotted.lower()
    if word in _BEFORE_A_NAME or ((initials or not previous) and key in _BEFORE_A_NAME):
        return True
    number_follows = next_word[:1].isdecimal()
    if number_follows and (key in _BEFORE_A_NUMBER or key.endswith("str") or len(word) == 1):
        return True
    if key in ("a.m", "p.m"):
        return False
    is_abbreviation = key in _MAY_END or key.endswith("str") or len(word) == 1 or bool(initials)
    return is_abbreviation and not begins


def with_final_mark(text: str, source: str, language: str) -> str:
    """A translation that ends with the mark of its source, a question or a short exclamation, instead of a stop.

    In French a space is before the mark. People who type `Bleib hier!` or `Vergiss den Schlüssel nicht!` expect it.
    After longer requests translators of German into English prefer a stop: five words instead of three cost 0.11 BLEU
    on Tatoeba, no limit costs 0.19. Languages with other question marks, or two of them, keep what the model wrote.
    """
    mark = source[-1:]
    if mark not in ("?", "!") or not text.endswith(".") or text.endswith(".."):
        return text
    if language in OTHER_QUESTION_MARKS if mark == "?" else len(source.rstrip(" !").split()) > SHORT:
        return text
    return f"{text[:-1]}{' ' if language == 'fr' else ''}{mark}"


def join_sentences(sentences: Sequence[str], gaps: Sequence[str] | None = None) -> str:
    """The sentences as one line, without empty ones; `gaps` are the white space between those of the source."""
    parts: list[str] = []
    for number, sentence in enumerate(sentences):
        if sentence:
            if parts:
                parts.append(white_space_before(sentence, parts[-1], gaps[number - 1] if gaps else ""))
            parts.append(sentence)
    return "".join(parts)


def white_space_before(sentence: str, previous: str, gap: str) -> str:
    """The white space before a sentence: that of the source or a space; none after `。`, `！` and `？`."""
    return "" if re.search(_NO_SPACE_AFTER, previous[-8:]) else gap or " "
