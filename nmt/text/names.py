"""Names of persons, companies and streets that are recognised by the words beside them.

A name that is also a noun (`Frau Bierbaum`, `Mr. Baker`, `Müller GmbH`) would be translated. The forms of address,
titles and legal forms below are those of several European languages; a text of another language has no such names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nmt.text.sentences import BEGINS

CAPITAL = r"[^\W\d_a-zß-öø-ÿ]"  # a letter that is no small Latin one
_NAME = rf"(?:(?:Mc|Mac|O['’]|D['’]|Al-|El-)?{CAPITAL}[^\W\d_]++(?:-{CAPITAL}[^\W\d_]++)*+)"
_PARTICLES = r"(?!der )(?:(?:von|vom|zu|zur|van|der|den|ten|ter|de|del|della|di|da|dos|le|la|el|bin|ben|af|av)[ ]){0,2}"

_TITLE = r"(?:(?:Dr|Prof|Dipl|Ing|med|rer|nat|phil|jur|habil|h\.c)\.[ -]?|(?:Doktor|Doctor|Professor|Dr|Prof)[ ])"
_ADDRESS = (
    r"(?:Herrn?|Frau|Fräulein|Hr\.|Fr\.|Mrs?\.?|Ms\.?|Mx\.?|Monsieur|Madame|Mademoiselle|M\.|Mme\.?|Mlle\.?|Señora?|"
    r"Señorita|Sra?\.|Srta\.|Senhora?|Doña|Signora?|Signorina|Sig\.(?:ra)?|dhr\.|mevr\.|Meneer|Mevrouw)[ ]"
)
_OFFICE = (  # offices and occupations, which are no names after a form of address
    r"(?i:\w*(?:präsident|minister|kanzler|direktor|bürgermeister|wachtmeister|hausmeister|sekretär|kommissar|"
    r"inspektor|vorsitzend|abgeordnet|beauftragt|anwalt|anwält|general|leutnant|botschafter|professor|do[ck]tor|lehrer|"
    r"kolleg|nachbar|schaffner|kellner|wirt|pfarrer|rektor|dekan|kapitän|senator|konsul|redakteur|ingenieur|trainer|"
    r"leiter|president|président|chairman|chairwoman|speaker|secretary|ambassador|mayor|governor|director|directeur|"
    r"directrice|commissioner|minist[re]|ministro|alcalde)(?:innen|in|en|er|te[nr]?|[enas])?"
    r"|ober|oberst|major|admiral|[lsh]\w{2,5}rat|graf|gräfin|baron|baronin|gott|god|jesus|christus|chefin|chef|arzt|"
    r"ärztin|pastor|right|vice|prime|justice|chair|attorney)"
)
# Compiled for the first text that has a sign of a name, and kept by `re`: compiling takes milliseconds of each start.
_PERSON = (
    rf"(?<![\w'’.-])(?:{_ADDRESS}(?:{_TITLE}|{_OFFICE}[ ]){{0,4}}+|{_TITLE}{{1,4}}+)(?P<name>{_PARTICLES}{_NAME})(?!\w)"
)
_DETERMINER = (  # before Frau and Herr as nouns: weil die alte Frau Brot kauft
    r"(?i)(?<!\w)(?:d(?:er|ie|as|en|em|es)|(?:[mds]?ein|ihr|unser|euer|eur|kein|dies|jed|jen|welch|beid|all)[enrms]{0,2}|"
    r"als)[ ](?:\w+e[nrms]?[ ])?$"
)
# Further words with a capital belong to the name, but in German, where nouns have one too, only at the beginning of a
# sentence: the verb follows there.
_GERMAN = r"(?:Herrn?|Frau|Fräulein|Hr|Fr|Dr|Prof|Dipl|Ing|Doktor|Doctor|Professor)\b"
_ADDRESSED = r"\W*(?:(?:Sehr[ ]geehrter?|Lieber?|Dear)[ ])?"
_FURTHER = rf"(?:[ ]{_PARTICLES}{_NAME}){{1,2}}(?!\w)"

_SURNAME = (  # the model knows most first names, and how to translate some
    r"(?<!\w)(?i:ich[ ]heiße|name[ ](?:ist|is)|namens|m['’]appelle|me[ ]llamo|mi[ ]chiamo|ik[ ]heet)[ ]"
    rf"{_NAME}[ ](?P<name>{_PARTICLES}{_NAME})(?!\w)"
)
_LEGAL_FORM = (
    r"(?:(?:g?GmbH|AG|SE)(?:[ ]&[ ]Co\.?[ ]KG(?:aA)?)?|mbH|KG|KGaA|OHG|UG|e\.[ ]?[KV]\.|"
    r"(?:Ltd|Inc|Corp)(?:\.(?=[ ]+[a-z]|,))?|LLC|LLP|PLC|plc|SARL|SAS|S\.p\.A\.|SpA|S\.r\.l\.|Srl|B\.V\.|N\.V\.|"
    r"A/S|ApS|Oyj?|Kft)"
)
_COMPANY = rf"(?<![\w&'’.-])(?P<name>(?:(?:{CAPITAL}[\w.'’-]*+|&|und|and)[ ]){{1,4}}{_LEGAL_FORM})(?!\w)"
_STREET = rf"(?<![\w'’.-])(?P<name>{CAPITAL}\w+er[ ](?:Straße|Str\.|Platz|Allee|Damm|Chaussee|Ufer))(?!\w)"
_TOKEN = re.compile(r"\w+")
# A text without any of these words has no such name. The A of A/S and S.p.A., with which many English lines begin, is
# left out, because the S is always there as well.
_SIGNS = frozenset(
    _TOKEN.findall(
        "Herr Herrn Frau Fräulein Hr Fr Mr Mrs Ms Mx Monsieur Madame Mademoiselle M Mme Mlle Señor Señora Señorita Sr "
        "Sra Srta Senhor Senhora Doña Signor Signora Signorina Sig dhr mevr Meneer Mevrouw Dr Prof Doktor Doctor "
        "Professor heiße Name name namens appelle llamo chiamo heet GmbH gGmbH mbH AG SE KG KGaA OHG UG V K Ltd Inc "
        "Corp LLC LLP PLC plc SARL SAS S SpA Srl B N ApS Oy Oyj Kft Straße Str Platz Allee Damm Chaussee Ufer"
    )
)


LOOKED_AT = 40
"""Number of characters before a form of address that are examined."""


def find_names(text: str) -> Iterator[tuple[int, int]]:
    """The places of names of persons, companies and streets; two may overlap."""
    if _SIGNS.isdisjoint(_TOKEN.findall(text)) or text.isupper():
        return
    for match in re.finditer(_PERSON, text):
        start = match.start()
        before = text[max(0, start - LOOKED_AT) : start]
        is_noun = not text[start : match.start("name")].endswith(". ") and re.search(_DETERMINER, before)
        if not is_noun and not re.fullmatch(_OFFICE, match["name"]):
            end = match.end("name")
            at_beginning = start < LOOKED_AT and re.fullmatch(_ADDRESSED, before)
            if at_beginning or not re.match(_GERMAN, match[0]):
                more = re.compile(_FURTHER).match(text, end)
                end = more.end() if more else end
            yield match.start("name"), end
    for pattern in (_SURNAME, _COMPANY, _STREET):
        for match in re.finditer(pattern, text):
            start, end = match.span("name")
            while (first := text[start:end].partition(" "))[0] in BEGINS or first[0] in ("&", "und", "and", "Unsere"):
                start += len(first[0]) + 1
            if pattern is _SURNAME or (first[1] and not (pattern is _STREET and start == 0)):
                yield start, end
