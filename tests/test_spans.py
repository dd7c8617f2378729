"""Spans that are copied: what is recognised, and that each comes out once and byte for byte."""

from __future__ import annotations

import time

import numpy as np
import pytest

from nmt.data.spans import mark_spans
from nmt.text.names import find_names
from nmt.text.spans import SPAN_CHARACTERS, Named, find_spans, replace_spans, restore_spans

# Each line has its spans in ⟦brackets⟧; all others must have none.
MARKED = """
Siehe ⟦https://example.org/a?b=c⟧.
Siehe (⟦http://example.org/a_(b)⟧), bitte.
Öffne ⟦http://example.org/a,b;c⟧!
Read ⟦ftp://files.example.org/x.zip⟧ and ⟦mailto:a@b.de⟧
⟦https://example.org⟧
请看⟦https://example.org/a⟧谢谢。
Go to ⟦www.example.com⟧, then ⟦example.com⟧.
Go to ⟦docs.example.io/en/latest/⟧ now
Auf ⟦spiegel.de⟧ steht es.
Der Server läuft auf ⟦localhost:8080/x⟧ und ⟦192.168.0.1:80⟧.
Schreib an ⟦max.muster+x@mail.example.de⟧.
Mail <⟦a@b.com⟧> to me
Die Datei ⟦/etc/hosts⟧ fehlt.
Lösche ⟦~/Downloads/x.txt⟧ und ⟦./run.sh⟧, dann ⟦../a/b⟧.
Öffne ⟦C:\\Users\\Tom\\x.docx⟧.
Open ⟦\\\\server\\share⟧ or ⟦%APPDATA%\\x⟧
Lies ⟦README.md⟧ und ⟦src/main.py⟧.
Das ist in ⟦/tmp⟧.
Öffne ⟦report-2.pdf⟧.
Hallo ⟦{name}⟧, du hast ⟦{{count}}⟧ Dateien.
⟦${HOME}⟧ und ⟦$PATH⟧ und ⟦#{x}⟧ und ⟦{0}⟧ und ⟦{}⟧
Set ⟦{{ user.name | upper }}⟧ now
⟦{% if x %}⟧ja⟦{% endif %}⟧
Du hast ⟦%d⟧ neue Nachrichten.
⟦%s⟧ von ⟦%1$s⟧, ⟦%(count)d⟧ und ⟦%.2f⟧ ⟦%@⟧ ⟦%5d⟧
Zu ⟦%d%%⟧ fertig, ⟦%s⟧ von ⟦%%⟧
Am ⟦%Y-%m-%d⟧ um ⟦%H:%M⟧
⟦%PATH%⟧ ist leer
⟦{n, plural, one {# Datei} other {# Dateien}}⟧ gelöscht
⟦{g, select, male {er hat {n, plural, one {1 Hund} other {# Hunde}}} other {x}}⟧.
Danke ⟦:smile:⟧ und ⟦:+1:⟧
Zeile⟦\\n⟧Zeile
Das ist ⟦<b>⟧fett⟦</b>⟧.
Klick ⟦<a href="x.html" class='y'>⟧hier⟦</a>⟧⟦<br/>⟧
⟦<g id="1">⟧Text⟦</g>⟧⟦<x id="2"/>⟧⟦<!-- nein -->⟧
Tom ⟦&amp;⟧ Jerry ⟦&#8217;⟧ ⟦&nbsp;⟧
Führe ⟦`git push`⟧ aus, dann ⟦``x y``⟧.
Danke ⟦@tom_92⟧, sagt ⟦@anna.b⟧.
Mehr zu ⟦#Wetter⟧ und ⟦#1⟧!
Es kostet ⟦1.249,90⟧ Euro.
Um ⟦14:30⟧ Uhr, am ⟦12.03.2024⟧.
Ruf ⟦+49 30 123456⟧ an.
Bus ⟦634⟧ hält hier.
Im Jahr ⟦1990⟧. Danach kam ⟦2000⟧.
Etwa ⟦1/2⟧ Liter, ⟦3-4⟧ Tage, ⟦2:1⟧ gewonnen
⟦1 000 000⟧ Menschen
Bei ⟦-273,15⟧ Grad
Die ⟦1990⟧er Jahre
Nimm ⟦100 %⟧ davon, ⟦100⟧%ig.
⟦192.168.0.1⟧
Fach ⟦A4-12⟧ und ⟦B12_x⟧, Artikel ⟦SKU-991⟧.
⟦DE89 3704 0044 0532 0130 00⟧
Version ⟦v1.2.3⟧ und ⟦2.0.1-rc1⟧ und ⟦3.11⟧
Farbe ⟦#ff00aa⟧ oder ⟦0xFF⟧
⟦a3f9c2d1⟧ und ⟦123e4567-e89b-12d3-a456-426614174000⟧
Die ⟦MP3⟧-Datei auf ⟦H2O⟧ und ⟦A4⟧-Papier
⟦COVID-19⟧ und ⟦ISO-8859-1⟧
Rufe ⟦getUserName()⟧ und ⟦camelCase⟧ und ⟦snake_case⟧ auf.
Das ⟦iPhone⟧ und ⟦__init__⟧ und ⟦obj.method()⟧
⟦NullPointerException⟧ geworfen
Flug ⟦LH441⟧ nach ⟦3D⟧
Schlüssel ⟦7F3A-22C9⟧ und ⟦22C⟧
Danke ⟦❤️⟧
Super ⟦👍🏽👍⟧!
⟦👨‍👩‍👧⟧ ⟦🇩🇪⟧ ⟦1️⃣⟧ ⟦😀😀😀⟧
Danke⟦😀⟧Tom
Drück⟦ℹ️⟧, bitte.
Siehe ⟦example.org:8080/a⟧, ⟦example.org?q=1⟧, ⟦example.org#oben⟧ und ⟦tel:4930123⟧.
Weiter ⟦→⟧ hier ⟦✓⟧
Gut ⟦:)⟧ und ⟦;-)⟧ und ⟦:D⟧ und ⟦<3⟧
Ja! ⟦:-(⟧
Am ⟦3⟧. Mai und am ⟦12⟧. Juni.
Es ist ⟦20⟧ Uhr, er ist ⟦2⟧ Jahre alt.
Der Preis stieg um ⟦5 %⟧, also ⟦10%⟧.
Kapitel ⟦3⟧, Seite ⟦5⟧, Band II.
Es kostet ⟦$5⟧ oder ⟦5 €⟧ oder ⟦£3.50⟧, nicht ⟦1 €⟧.
Nur ⟦5 km/h⟧, ⟦5km⟧ weit, ⟦20 m²⟧ groß, ⟦10kg⟧ schwer
Bei ⟦-5 °C⟧ nimm ⟦250 g⟧ Mehl und ⟦1 l⟧ Milch.
⟦No. 5⟧, ⟦Nr. 7⟧, § ⟦3⟧ (⟦Fig. 3-2⟧)
Im Ordner ⟦src/main⟧ und in ⟦tests/x.d/⟧, im Ordner ⟦a-b/c⟧, the folder ⟦foo/bar⟧.
Drücke ⟦Strg+C⟧ oder ⟦Alt+F4⟧, dann ls ⟦-la⟧ und ⟦x.py⟧ ⟦--help⟧.
Also ⟦E = mc²⟧ und ⟦a² + b² = c²⟧, ⟦x > 5⟧, ⟦10 - 3 = 7⟧.
Mein Plan ⟦B⟧, Gruppe ⟦A⟧!
Nur ⟦19,99 €⟧/Stück, ⟦500 US$⟧, ⟦10 lbs⟧, Zimmer ⟦12b⟧
Im 19. Jahrhundert, die 2. Auflage am ⟦3⟧. Mai
Der ⟦ICE 598⟧ und der ⟦BMW 320i⟧ und ⟦HD 209458⟧ und ⟦M-XY 4521⟧.
Hallo ⟦:name⟧, noch ⟦:days⟧ Tage (⟦:count⟧), er sagte:nein, std::vector.
BUS ⟦634⟧ HÄLT HIER.
Die NATO hat ⟦30⟧ Mitglieder.
Text \ue123 hier
Herr Dr. ⟦Müller⟧ (geb. Schmidt) kam.
Herr ⟦Wolf⟧ und Frau ⟦Fuchs-Klein⟧ sahen Herrn ⟦von Steins⟧ Brot.
Herr Professor ⟦Klein⟧, Frau Bundeskanzlerin ⟦Merkel⟧, Prof. Dr. ⟦Sommer⟧
Frau ⟦Anna Müller⟧ isst. Heute hat Frau ⟦Anna⟧ Brot gekauft.
Sehr geehrter Herr ⟦Max Braun⟧, danke.
Mr. ⟦Baker⟧ and Mrs. ⟦O'Brien⟧ met Mr. President ⟦Ford⟧ and Dr. ⟦Black⟧.
Heute traf Mrs. ⟦Anna Baker⟧ M. ⟦Luc Le Grand⟧. Elle rit.
Appelez le ⟦06 12 34 56 78⟧ à ⟦12 h 30⟧ ou à ⟦18h45⟧.
M. ⟦Boucher⟧, Señora ⟦de la Cruz⟧, Signor ⟦Rossi⟧
My name is Anna ⟦Baker⟧; ich heiße Lukas ⟦Vogel⟧.
Die ⟦Müller GmbH⟧ und die ⟦Stein & Söhne GmbH & Co. KG⟧ kaufen die ⟦Deutsche Bank AG⟧.
⟦Baker & Sons Ltd⟧. Then ⟦Apple Inc.⟧ grew.
Am ⟦Potsdamer Platz⟧ und in der ⟦Berliner Straße⟧ ⟦5⟧
"""

PLAIN = """
Das ist z.B. ein Satz, d.h. ein kurzer.
The U.S. Army and the U.K. agree, i.e. both.
Mann und/oder Frau, er/sie
Das war 3-mal so viel.
Don't do that, it's John's.
L'homme qu'il a vu aujourd'hui.
Das E-Mail-Programm und die U-Bahn.
Nun ja ... ich weiß nicht… Hm...
"Wirklich?", fragte er: »Ja!«
Er sagte: Ich komme; sie nicht.
Herr Doktor, ich bin krank. Dr. ist er nicht.
Frau Präsidentin, meine Damen und Herren! Herr Präsident.
Der Herr der Ringe, die Frau des Jahres, Mann und Frau
Weil die alte Frau Brot kauft und der Herr Zeit hat.
Mr. President, Mr. Right, a doctor. My name is Mary.
Die AG trifft sich, eine GmbH. Unser Platz
Großer Platz für Kinder
HERR MÜLLER UND FRAU KOCH
McDonald und Lehrerinnen, GmbH, USA, NATO.
Die LehrerInnen und StudentInnen kamen.
Wie geht's? Gut!
Ende.Und weiter ohne Leerzeichen.
50%ige Lösung
Tom & Jerry, A & B
a < b und b > c, x<y and y>z
Er rief: Halt!
(siehe oben:)
Sternchen *wichtig* und _betont_
The 21st century, the 3rd of May, 2nd.
Die 90er Jahre, 80s music
Ein 16jähriger Junge, 1 Jahr alt, Bus 1
Um 20Uhr kommt er.
TCP/IP und AC/DC, HTTP
pH-Wert und kWh
C'est-à-dire, peut-être.
¿Qué? ¡No!
Это предложение. これは文です。
Größe: groß – klein — sehr
Kopf- und Fußzeile, Vor-/Nachname
z. B. u. a. usw. bzw. etc.
She said 'hello' and "bye".
``Quoted'' text and `another' one
Ja/Nein?
Tom B. kam, I see, O Tannenbaum, der Sinn -- wenn -- war da
IL Y A DU LAIT
Kopf- und -schmerzen, Ja = Nein, im 20. Jahrhundert
{das ist ein Kommentar}
Was?! Nein!!
"""


def marked(line: str) -> tuple[str, list[str]]:
    """The text of a line of the table, and its spans."""
    parts = line.replace("⟧", "⟦").split("⟦")
    return "".join(parts), parts[1::2]


def texts(line: str, **options: object) -> list[str]:
    return [line[start:end] for start, end in find_spans(line, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("line", [*filter(None, MARKED.splitlines()), *filter(None, PLAIN.splitlines())])
def test_what_is_a_span(line: str) -> None:
    text, spans = marked(line)
    if "\ue123" in text:
        spans = ["\ue123"]
    assert texts(text) == spans


FORMS_OF_ADDRESS = (  # noqa: SIM905
    "Herr Herrn Frau Fräulein Hr. Fr. Mr Mr. Mrs Mrs. Ms Ms. Mx Mx. Monsieur Madame Mademoiselle M. Mme Mme. Mlle "
    "Señor Señora Señorita Sr. Sra. Srta. Senhor Senhora Doña Signor Signora Signorina Sig.ra dhr. mevr. Meneer "
    "Mevrouw Dr. Dr Prof. Prof Doktor Doctor Professor"
).split()
LEGAL_FORMS = (  # noqa: SIM905
    "GmbH|gGmbH|AG|SE|GmbH & Co. KG|mbH|KG|KGaA|OHG|UG|e.K.|e. V.|Ltd|Ltd.|Inc.|Corp.|LLC|LLP|PLC|plc|SARL|SAS|S.p.A.|"
    "SpA|S.r.l.|Srl|B.V.|N.V.|A/S|ApS|Oy|Oyj|Kft"
).split("|")
STREETS = ("Straße", "Str.", "Platz", "Allee", "Damm", "Chaussee", "Ufer")
BEFORE_A_SURNAME = ("ich heiße", "je m'appelle", "me llamo", "my name is", "mi chiamo", "ik heet", "namens")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((f"da ist {form} Bierbaum, sagt er", "Bierbaum") for form in FORMS_OF_ADDRESS),
        *((f"bei Bierbaum {form} ist es schön", f"Bierbaum {form}") for form in LEGAL_FORMS),
        *(
            (f"in der Berliner {kind} ist es schön", f"Berliner {kind}")
            for kind in ("Straße", "Str.", "Platz", "Allee")
        ),
        *((f"in der Berliner {kind} ist es schön", f"Berliner {kind}") for kind in STREETS),
        *((f"{start} Lena Bierbaum, sagt er", "Bierbaum") for start in BEFORE_A_SURNAME),
    ],
)
def test_each_sign_of_a_name_is_known(text: str, name: str) -> None:
    """`find_names` looks at a text only if it has a word that its patterns begin with; none may be missing there."""
    assert [text[start:end] for start, end in find_names(text)] == [name]


def test_named_phrases_are_spans_as_whole_words() -> None:
    named = Named(["Tom", "New York", "New York City", "東京", " ", "Tom"])
    assert texts("Tom war in New York City, Tommy in New York.", named=named) == ["Tom", "New York City", "New York"]
    assert texts("東京に Tom.", named=named) == ["東京", "Tom"]
    assert texts("tom, Atom, Tom_x", named=named) == ["Tom_x"]
    assert texts("http://Tom.de/x Tom", named=named) == ["http://Tom.de/x", "Tom"]


def test_words_that_cannot_be_read_are_spans() -> None:
    unreadable = "żółПриветМЖ漢字Ż"
    assert texts("das ist żółty, sagt er", unreadable=unreadable) == ["żółty"]
    assert texts("er sagt Привет Мир und 漢字", unreadable=unreadable) == ["Привет Мир", "漢字"]
    assert texts("kein-Żrest da", unreadable=unreadable) == ["kein-Żrest"]


def test_replacing_and_restoring_give_the_text_back() -> None:
    for line in filter(None, MARKED.splitlines()):
        text, _ = marked(line)
        spans = find_spans(text)
        replaced = replace_spans(text, spans, range(len(spans)))
        assert restore_spans(replaced, [text[start:end] for start, end in spans]) == text
        assert len(replaced) == len(text) - sum(end - start - 1 for start, end in spans)
    assert restore_spans("a\ue000b\ue001c", ["x"]) == "axbc"


HOSTILE = [
    "a", "A", "1", "a1", "A-", "1.", "a.", "a@", "@a", "{", "{{", "{a,plural,", "{n, plural, {", "{}", "<", "<a ",
    "<a b=", "<!--", "&", "&a", "`", "`a", "` `", "%", "%(", "%(a", "%1$", "$", "${", "/", "/a", "~/", "\\", "C:\\",
    ":", ":a", "://", "a://", "http://(", "http://a)", "www.", "_", "a_", "__", "aA", "Aa", "0:", "ab:", "+1 ",
    "1 000", "😀\u200d", "\ue000", "=", "-", "<a b='", "a.b/", "a.de", "1-", "#", "#a", ")", "'", "-1,", "A1-A",
    "src/", "A+", "Ctrl+a", " --a", "a = ", "1 + ", "der 3. ", " B", "Nr. ",
    "Herr ", "Dr. ", "Herr Wirt", "& AG ", "die Frau A ", "Aer ", "[:", "DE00 0000", "a.txt", "a/",
]  # fmt: skip


@pytest.mark.parametrize("part", HOSTILE)
def test_time_is_linear(part: str) -> None:
    """A tenth of a second for 20 kB of anything: the square of the length would take many seconds."""
    text = part * (20_000 // len(part))
    started = time.process_time()
    find_spans(text, Named(["a b"]), "ż")
    assert time.process_time() - started < 0.5


def test_100_kb_of_everything_take_a_moment() -> None:
    text = "".join(part * (100_000 // len(HOSTILE) // len(part)) for part in HOSTILE)
    started = time.process_time()
    find_spans(text, Named(["a b"]), "ż")
    assert time.process_time() - started < 2


# Training


def test_what_both_sides_have_is_replaced_on_both() -> None:
    sources = [
        "Siehe https://a.de/b um 14:30, 14:30 und 15:30.",
        "Tom mag 2024 Boston nicht, Toms Hund.",
        "Ja.",
        "はい。",
    ]
    targets = [
        "At 14:30 see https://a.de/b, 14:30, not 15.30.",
        "Tom doesn't like Boston in 2024. Tom's dog.",
        "Yes.",
        "是。",
    ]
    seen: dict[str, set[str]] = {text: set() for text in sources}
    numbers = set()
    for seed in range(200):
        marked = sources[:], targets[:]
        changed = mark_spans(*marked, 0.9, 16, np.random.default_rng(seed))
        for place, (source, target) in enumerate(zip(*marked, strict=True)):
            signs = [[sign for sign in side if sign in SPAN_CHARACTERS] for side in (source, target)]
            assert sorted(signs[0]) == sorted(signs[1]) == sorted(set(signs[0]))
            assert (place in changed) == bool(signs[0]) == (source != sources[place])
            numbers.update(signs[0])
            seen[sources[place]].add("".join("*" if sign in SPAN_CHARACTERS else sign for sign in source))
    assert numbers == set(SPAN_CHARACTERS)
    assert "Siehe * um *, * und 15:30." in seen[sources[0]]
    assert {"Tom mag * Boston nicht, Toms Hund.", "Tom mag * * nicht, Toms Hund."} <= seen[sources[1]]
    assert seen["Ja."] == {"Ja.", "* Ja.", "Ja. *", "*Ja.*"}
    assert seen["はい。"] == {"はい。", "*はい。", "はい。*", "*はい。*"}


def test_training_sees_the_names_that_translation_copies() -> None:
    sources, targets = ["Frau Koch kocht bei der Fisch AG."], ["Mrs. Koch is cooking at Fisch AG."]
    mark_spans(sources, targets, 1.0, 4, np.random.default_rng(1))
    for text in (*sources, *targets):
        assert not {"Koch", "Fisch AG"} & set(text.replace(".", "").split()) and "Fisch" not in text
    read = [sorted(set(text) & set(SPAN_CHARACTERS)) for text in (*sources, *targets)]
    assert read[0] == read[1] and len(read[0]) == 2


def test_the_share_is_that_of_the_pairs_with_spans() -> None:
    for share in (0.0, 0.3, 1.0):
        pairs = ["um 14:30 da"] * 4000, ["at 14:30"] * 4000
        mark_spans(*pairs, share, 16, np.random.default_rng(1))
        replaced = sum("14:30" not in text for text in pairs[0])
        assert replaced == pytest.approx(4000 * share, abs=100 * (0 < share < 1))
