"""Translation of documents: what is not text stays as it was, in every format, and hostile files are refused."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from nmt.cli import translate_main
from nmt.documents import SUFFIXES, Document, translate_document
from nmt.errors import UserError

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:wp="urn:wp" xmlns:mc="urn:mc"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="urn:p"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n'
TAG = re.compile(r"<[^<>]+>|&#?\w+;")


def same(texts: Sequence[str], markup: str) -> Sequence[str]:
    return texts


def swapped(texts: Sequence[str], markup: str) -> list[str]:
    """Texts with small letters for capitals and the other way round; tags stay."""
    return [
        "".join(one if TAG.fullmatch(one) else one.swapcase() for one in re.split(f"({TAG.pattern})", text))
        if markup
        else text.swapcase()
        for text in texts
    ]


def archive(files: dict[str, str | bytes], stored: str = "") -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content, zipfile.ZIP_STORED if name == stored else zipfile.ZIP_DEFLATED)
    return output.getvalue()


def run(text: str, properties: str = "") -> str:
    return f'<w:r w:rsidR="00A1"><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def field(code: str, result: str) -> str:
    mark = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
    code = f'<w:r><w:instrText xml:space="preserve">{code}</w:instrText></w:r>'
    return mark.format("begin") + code + mark.format("separate") + result + mark.format("end")


BRITISH = '<w:lang w:val="en-GB"/>'
LINK = ' HYPERLINK "http://x" '
BOX = (
    "<mc:AlternateContent><mc:Choice><w:drawing><wp:docPr id='1' descr='A picture of a dog'/><w:txbxContent>"
    f"<w:p>{run('Text in a box')}</w:p></w:txbxContent></w:drawing></mc:Choice></mc:AlternateContent>"
)
PARAGRAPHS = [
    f"<w:p><w:pPr><w:jc w:val='center'/></w:pPr>{run('The co')}<w:proofErr w:type='spellStart'/>"
    f"{run('mpa', BRITISH)}{run('ny grows.')}</w:p>",
    f"<w:p>{run('A ')}{run('very', '<w:b/>')}{run(' ')}{run('good', '<w:b/>')}{run(' book &amp; more.')}</w:p>",
    f"<w:p><w:bookmarkStart w:id='7' w:name='x'/>{run('See ')}<w:hyperlink w:anchor='y'>{run('this page', '<w:u/>')}"
    f"</w:hyperlink>{run(' now.')}<w:bookmarkEnd w:id='7'/></w:p>",
    f"<w:p>{run('Read ')}{field(LINK, run('the site', '<w:u/>'))}{run(' on page ')}"
    f"{field(' PAGE ', run('Seite'))}{run(' today.')}</w:p>",
    "<w:p><w:r><w:t>Name:</w:t><w:tab/><w:t>Anna</w:t><w:br/><w:t>Second line</w:t></w:r></w:p>",
    f"<w:p>{run('With a note')}<w:r><w:footnoteReference w:id='2'/></w:r>{run(' inside.')}<w:r>{BOX}</w:r></w:p>",
    f"<w:p><w:ins w:id='1'>{run('New words')}</w:ins>"
    "<w:del w:id='2'><w:r><w:delText>old words</w:delText></w:r></w:del>"
    f"{run(' stay here.')}</w:p>",
    f"<w:p>{run('Hidden', '<w:vanish/>')}{run('Range ')}<w:commentRangeStart w:id='3'/>{run('with comment')}"
    f"<w:commentRangeEnd w:id='3'/>{run(' ends.')}</w:p>",
    "<w:p><w:r><w:fldChar w:fldCharType='begin'/></w:r><w:r><w:instrText> TOC </w:instrText></w:r>"
    f"<w:r><w:fldChar w:fldCharType='separate'/></w:r>{run('First chapter')}<w:r><w:tab/></w:r>{run('5')}</w:p>"
    "<w:p><w:r><w:fldChar w:fldCharType='end'/></w:r></w:p>",
    f"<w:sdt><w:sdtContent><w:p>{run('12,000 €')}</w:p></w:sdtContent></w:sdt>",
]
DOCX = {
    "[Content_Types].xml": "<Types/>",
    "word/document.xml": f"{XML}<w:document {W}><w:body>{''.join(PARAGRAPHS)}<w:sectPr/></w:body></w:document>",
    "word/header1.xml": f"{XML}<w:hdr {W}><w:p>{run('Our header')}</w:p></w:hdr>",
    "word/media/image1.png": b"\x89PNG\r\n",
}
PPTX = {
    "ppt/slides/slide1.xml": f"{XML}<p:sld {A}><p:cNvPr descr='A dog'/><a:p><a:pPr/><a:r>"
    "<a:rPr lang='en-US' dirty='0'/>"
    "<a:t>A good </a:t></a:r><a:r><a:rPr lang='en-US' b='1'/><a:t>title</a:t></a:r><a:endParaRPr/></a:p>"
    "<a:p><a:r><a:t>Page </a:t></a:r><a:fld type='slidenum'><a:t>Nr</a:t></a:fld></a:p></p:sld>",
    "ppt/presentation.xml": f"<p:presentation {A}/>",
}
XLSX = {
    "xl/sharedStrings.xml": f"{XML}<sst {S}><si><t>Product</t></si><si><t xml:space='preserve'>Two\nlines </t></si>"
    "<si><r><t xml:space='preserve'>This is </t></r><r><rPr><b/></rPr><t>bold</t></r></si>"
    "<si><t>Yes</t></si><si><t>Column</t></si></sst>",
    "xl/worksheets/sheet1.xml": f"<worksheet {S}><sheetData><row><c t='inlineStr'><is><t>A cell</t></is></c>"
    '<c><f>IF(A1="Yes",1,0)</f><v>1</v></c></row></sheetData></worksheet>',
    "xl/tables/table1.xml": f'<table {S}><tableColumns><tableColumn id="1" name="Column"/></tableColumns></table>',
}
HTML = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>A good page</title><meta name="description" content="What it says">
<SCRIPT>var x = "Do not <b>translate</b>";</SCRIPT><style>p { color: red }</style></head>
<body><h1>The <em>first</em> heading</h1>
<p>This is a <b>very
   good</b> book &amp; it costs 5&nbsp;euros.<br>Second line<br>goes on
with a <a href="x?a=1&amp;b" title="A title">link</a>.
<div translate="no"><p>Not <div>this</div></p></div>
<p>Use <code>ls -l</code> to list <!-- a comment --> files. <img src="data:image/png;base64,{}" alt="A dog"> End.
<ul><li>One item<li>Another item</ul> <input placeholder="Your name"><button>Save</button> <button>Cancel</button>
<b><p>Crossed block</p></b> <i>unclosed <pre>keep  me</pre> a < b and AT&T</body></html>
""".replace("{}", "A" * 5000)
SRT = """1
00:00:01,000 --> 00:00:03,000
I told him yesterday that
I would not come

2
00:00:03,100 --> 00:00:05,000
because my <i>sister</i> is ill.

3
00:00:06,000 --> 00:00:08,000
- Who are you?
- I am AT&T.

4
00:00:09,000 --> 00:00:10,000
{\\an8}The end
"""
VTT = """WEBVTT

NOTE a comment

STYLE
::cue { color: red }

intro
00:01.000 --> 00:03.000 line:0
<v Anna>Hello <b>you</b> &amp; me.
"""
TEXT = """A title

This is a paragraph whose lines were broken by somebody at a fixed width,
so that a sentence goes over several lines and has to be joined before it
is translated.

  - First point of a list
  - Second point of it

12345
"""
PO = r"""# A comment
msgid ""
msgstr ""
"Language: de\n"
"Content-Type: text/plain; charset=UTF-8\n"

#: a.c:1
msgctxt "menu"
msgid "Open %s \"file\"\n"
"and close it"
msgstr ""

msgid "%d file"
msgid_plural "%d files"
msgstr[0] ""
msgstr[1] ""

#, fuzzy
msgid "Old"
msgstr "Alt"

msgid "Click <b>here</b> now"
msgstr ""

#~ msgid "Gone"
#~ msgstr ""
"""
ODT_NAMES = (
    'xmlns:office="urn:o" xmlns:text="urn:t" xmlns:style="urn:s" xmlns:fo="urn:f" xmlns:draw="urn:d" xmlns:svg="urn:v" '
    'xmlns:xlink="urn:x" xmlns:officeooo="urn:oo"'
)
ODT = {
    "mimetype": "application/vnd.oasis.opendocument.text",
    "META-INF/manifest.xml": "<manifest/>",
    "content.xml": f"{XML}<office:document-content {ODT_NAMES}><office:automatic-styles>"
    "<style:style style:name='T1' style:family='text'><style:text-properties officeooo:rsid='1'/>"
    "</style:style><style:style style:name='T2' style:family='text'><style:text-properties fo:font-weight='bold'/>"
    "</style:style></office:automatic-styles><office:text>"
    "<text:tracked-changes><text:p>Deleted words</text:p></text:tracked-changes>"
    "<text:h>A he<text:span text:style-name='T1'>ading</text:span></text:h>"
    "<text:p>This is <text:span text:style-name='T2'>ve</text:span><text:span text:style-name='T2'>ry</text:span>"
    "<text:s text:c='2'/>good &amp; new.<text:line-break/>Second line<text:tab/>after a tab</text:p>"
    "<text:p>With a note<text:note><text:note-body><text:p>The note</text:p></text:note-body></text:note> inside "
    "<text:a xlink:href='x'>this link</text:a> on page <text:page-number>Vier</text:page-number>.</text:p>"
    "<text:p><draw:frame><svg:title>A dog</svg:title><draw:text-box><text:p>In a box</text:p></draw:text-box>"
    "</draw:frame></text:p></office:text></office:document-content>",
    "styles.xml": f"<office:document-styles {ODT_NAMES}><text:p>Our footer</text:p></office:document-styles>",
}
EPUB = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": "<container><rootfile full-path='OEBPS/book.opf'/></container>",
    "OEBPS/book.opf": f"{XML}<package xmlns:dc='urn:dc'><dc:title>A book</dc:title><dc:language>en</dc:language>"
    "<item href='a%20b.xhtml' media-type='application/xhtml+xml'/>"
    "<item href='toc.ncx' media-type='application/x-dtbncx+xml'/></package>",
    "OEBPS/a b.xhtml": f"{XML}<html xmlns='http://www.w3.org/1999/xhtml' xml:lang='en'><head><title>A chapter</title>"
    "<script src='x.js'/></head><body><p>It was a <i>dark</i> night.<br/>It rained.</p><p/></body></html>",
    "OEBPS/toc.ncx": "<ncx><navLabel><text>First chapter</text></navLabel></ncx>",
}
MARKDOWN = """---
title: Kept
---
A *good* title
==============

## Second **heading**

This is a [link to a *page*](https://example.org/a_b "Title"), `code` and
**bold text** with ![A dog](dog.png) and \\*no emphasis\\* at 2 * 3.
It goes on.

> A quotation of
> two lines

1. First item
   - [ ] A task\\
     with a line break

| Name | Price |
| ---- | :---: |
| A car | 12 |

```python
print("Not this")
```

<p align="center">Some <b>HTML</b></p>

[ref]: https://example.org
"""
JSON = r"""{
  "title": "A good \"title\"",
  "count": 1.50,
  "items": [{"text": "Two\nlines", "id": "some_id"}, "Plain text", true, null],
  "html": "A <b>bold</b> word", "url": "https://example.org"
}
"""
YAML = """# A comment
title: A good title   # after it
"quoted": "He said \\"no\\""
single: 'It''s here'
count: 12
flag: yes
anchor: &a Some text
again: *a
holder: ${{ some.value }}
token: It is ${{ some.value }}
list: [First item, "second one"]
block: |
  The first line
  The second line
folded: >-
  A long text that
  is folded
nested:
  - name: The name
    id: some_id
"""
XLIFF = """<?xml version="1.0"?>
<xliff version="1.2"><file source-language="en-US" target-language="de"><body>
  <trans-unit id="1">
    <source>A <g id="1">good</g> day<x id="2"/>, <bpt id="3">&lt;b></bpt>sir<ept id="3">&lt;/b></ept>.</source>
  </trans-unit>
  <trans-unit id="2"><source>Hello</source><target state="new"/></trans-unit>
  <trans-unit id="3"><source>Done</source><target>Fertig</target></trans-unit>
  <trans-unit id="4" translate="no"><source>Never</source></trans-unit>
  <trans-unit id="5"><source>One. Two.</source><seg-source><mrk mtype="seg" mid="1">One.</mrk> <mrk mtype="seg" mid="2">Two.</mrk></seg-source></trans-unit>
</body></file></xliff>
"""  # noqa: E501
XLIFF_2 = """<xliff version="2.0" srcLang="en"><file id="f"><unit id="1"><segment state="initial">
<source>A <pc id="1">good</pc> day</source></segment></unit></file></xliff>
"""
TMX = """<?xml version="1.0"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en"/><body>
<tu>
  <tuv xml:lang="en-GB"><seg>A <bpt i="1">x</bpt>good<ept i="1">y</ept> day</seg></tuv>
</tu>
<tu><tuv xml:lang="en"><seg>Hello</seg></tuv><tuv xml:lang="de"><seg>Hallo</seg></tuv></tu>
</body></tmx>
"""
SAMPLES: dict[str, bytes] = {
    "a.docx": archive(DOCX),
    "a.pptx": archive(PPTX),
    "a.xlsx": archive(XLSX),
    "a.html": HTML.encode(),
    "a.srt": SRT.encode(),
    "a.vtt": VTT.encode(),
    "a.txt": TEXT.encode(),
    "a.odt": archive(ODT, stored="mimetype"),
    "a.epub": archive(EPUB, stored="mimetype"),
    "a.md": MARKDOWN.encode(),
    "a.json": JSON.encode(),
    "a.yaml": YAML.encode(),
}


EXPECTED = {
    "a.html": HTML.replace("a < b and AT&T", "a &lt; b and AT&amp;T").encode(),
    "a.yaml": YAML.replace("folded: >-", "folded: |-").encode(),
    "a.odt": archive(
        {
            **ODT,
            "content.xml": ODT["content.xml"]
            .replace("A he<text:span text:style-name='T1'>ading</text:span>", "A heading")
            .replace("ve</text:span><text:span text:style-name='T2'>ry", "very")
            .replace("<text:s text:c='2'/>", "  "),
        },
        stored="mimetype",
    ),
}
"""Samples after two translations, where they differ from the first in what nobody sees."""


def files_of(data: bytes) -> dict[str, bytes]:
    """The files of an archive, in their order, or a single one."""
    if not data.startswith(b"PK"):
        return {"": data}
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        return {f"{one.filename} {one.compress_type}": found.read(one) for one in found.infolist()}


def translated(name: str, translate=swapped, **options) -> str:
    """The text of a sample's translation; of an archive, of all of its files of XML."""
    files = files_of(Document(SAMPLES[name], name).translate(translate, **options))
    return "\n".join(content.decode() for key, content in files.items() if ".png" not in key)


@pytest.mark.parametrize("name", SAMPLES)
def test_without_changes_a_document_is_the_same_in_every_byte(name):
    assert files_of(Document(SAMPLES[name], name).translate(same)) == files_of(SAMPLES[name])


@pytest.mark.parametrize("name", SAMPLES)
def test_translating_twice_gives_back_the_text(name):
    """Swapping capitals twice is no change, so only formatting that nobody sees may differ after two translations."""
    first = Document(SAMPLES[name], name).translate(swapped)
    assert first != SAMPLES[name]
    again = Document(first, name).translate(swapped)
    assert files_of(Document(again, name).translate(same)) == files_of(again)
    assert list(files_of(again)) == list(files_of(SAMPLES[name]))
    if name in ("a.docx", "a.pptx", "a.xlsx"):
        for one, content in files_of(again).items():
            if b"<" in content:
                assert formatted(content) == formatted(files_of(SAMPLES[name])[one])
    else:
        text = b" ".join(files_of(again).values()).split()
        assert text == b" ".join(files_of(SAMPLES[name] if name not in EXPECTED else EXPECTED[name]).values()).split()


def formatted(xml: bytes) -> list[tuple[str, str]]:
    """Each character of a document with the formatting of its run, and everything else."""
    found: list[tuple[str, str]] = []

    def walk(node: ElementTree.Element, properties: str) -> None:
        name = node.tag.rpartition("}")[2]
        if name == "r":
            own = next((one for one in node if one.tag.endswith("}rPr")), None)
            properties = "" if own is None else re.sub(r" (lang|dirty)='?\"?[\w-]+['\"]?| />", "", repr_of(own))
        elif name == "t":
            found.extend((sign, properties) for sign in node.text or "" if not sign.isspace())
        elif name not in ("rPr", "proofErr"):
            found.append((f"<{name}>", repr_of(node) if len(node) == 0 else ""))
        for child in node:
            if name != "rPr":
                walk(child, properties)

    def repr_of(node: ElementTree.Element) -> str:
        inside = "".join(repr_of(one) for one in node if not one.tag.endswith("}lang"))
        kept = {key: value for key, value in node.attrib.items() if key not in ("lang", "dirty")}
        return f"{node.tag}{kept}({inside})" if inside or kept or not node.tag.endswith("}rPr") else ""

    walk(ElementTree.fromstring(xml), "")
    return found


def texts_of(name: str, **options) -> Counter[tuple[str, str]]:
    """What the translator gets to see of a sample."""
    seen: Counter[tuple[str, str]] = Counter()

    def note(texts, markup):
        seen.update((text, markup) for text in texts)
        return texts

    Document(SAMPLES[name], name).translate(note, **options)
    return seen


def test_a_word_document_is_translated_in_sentences_with_numbered_tags():
    assert set(texts_of("a.docx")) == {
        ("The company grows.", ""),
        ('A <g id="1">very good</g> book &amp; more.', "xml"),
        ('See <g id="1">this page</g> now.', "xml"),
        ('Read <g id="1">the site</g> on page <g id="2" translate="no"></g> today.', "xml"),
        ("Name:", ""),
        ("Anna", ""),
        ("Second line", ""),
        ('With a note<x id="1"/> inside.', "xml"),
        ("Text in a box", ""),
        ("A picture of a dog", ""),
        ('<g id="1">New words</g><x id="2"/> stay here.', "xml"),
        ('Range <sc id="1"/>with comment<ec id="1"/> ends.', "xml"),
        ("First chapter", ""),
        ("Our header", ""),
    }


def test_words_that_move_take_their_formatting_with_them():
    def turned(texts, markup):
        return [
            '<g id="1">the site</g>: <g id="2" translate="no"></g> read' if "the site" in text else text
            for text in texts
        ]

    content = translated("a.docx", turned)
    link = field(LINK, '<w:r><w:rPr><w:u/></w:rPr><w:t xml:space="preserve">the site</w:t></w:r>')
    page = field(" PAGE ", '<w:r><w:t xml:space="preserve">Seite</w:t></w:r>')
    text = '<w:r><w:t xml:space="preserve">{}</w:t></w:r>'
    rest = content[content.index(link) :]
    assert rest.startswith(f"{link}{text.format(': ')}{page}{text.format(' read')}</w:p>")


def test_tags_that_a_translation_loses_or_crosses_follow_its_text():
    for wrong in ("Kein Tag", '<g id="2">a</g><g id="1">b', '<ec id="1"/>a<sc id="1"/>b', "</g></g>", '<x id="9"/>'):
        content = translated("a.docx", lambda texts, markup, wrong=wrong: [wrong if markup else text for text in texts])
        for mark in ("footnoteReference", "commentRangeStart", "commentRangeEnd", "hyperlink", ">old words<", "PAGE"):
            assert content.count(mark) == translated("a.docx", same).count(mark)
        assert content.index("commentRangeStart") < content.index("commentRangeEnd")
        ElementTree.fromstring(content[content.index("<w:document") : content.index("</w:document>") + 13])


def test_texts_of_a_workbook_that_formulas_and_tables_name_are_kept():
    assert set(texts_of("a.xlsx")) == {
        ("Product", ""),
        ("Two", ""),
        ("lines", ""),
        ('This is <g id="1">bold</g>', "xml"),
        ("A cell", ""),
    }


def test_a_page_keeps_code_and_attributes_and_gets_the_language():
    seen = {text for text, _ in texts_of("a.html")}
    assert not any("translate</b>" in text or "ls -l" in text for text in seen)
    assert {"A title", "A dog", "Your name", "What it says", "Save", "One item", "a < b and AT&T"} <= seen
    assert 'Use <g id="1" translate="no"></g> to list <x id="2"/> files. <lb id="3"/> End.' in seen
    assert 'Second line<lb id="1"/>goes on with a <g id="2">link</g>.' in seen
    page = b'<html lang="en-GB" dir="ltr"><p>Hello'
    assert Document(page, "a.html").translate(same, target_language="de") == b'<html lang="de" dir="ltr"><p>Hello'


def test_the_encoding_of_a_page_stays():
    page = '<meta charset="iso-8859-1"><p>Grüße'.encode("latin-1")
    found = Document(page, "a.html").translate(lambda texts, _: [f"{text} ł" for text in texts])
    assert found == '<meta charset="iso-8859-1"><p>Grüße &#322;'.encode("latin-1")
    assert Document("\ufeffHello".encode("utf-32-be"), "a.txt").translate(swapped) == "\ufeffhELLO".encode("utf-32-be")
    said: list[str] = []
    found = Document("Grüße".encode("cp1252"), "a.txt", said.append).translate(same)
    assert found == "Grüße".encode()
    assert "cp1252" in said[0]
    assert Document("\ufeffHello".encode("utf-16-le"), "a.txt").translate(swapped) == "\ufeffhELLO".encode("utf-16-le")


def test_a_sentence_of_two_subtitles_is_divided_again():
    seen = texts_of("a.srt")
    sentence = 'I told him yesterday that I would not come<lb id="1"/>because my <g id="2">sister</g> is ill.'
    assert (sentence, "xml") in seen
    assert {("Who are you?", ""), ("I am AT&T.", ""), ("The end", "")} <= set(seen)
    moved = (
        'Ich sagte ihm gestern, dass ich nicht kommen würde<lb id="1"/>, weil meine <g id="2">Schwester</g> krank ist.'
    )
    content = translated("a.srt", lambda texts, markup: [moved if markup else text for text in texts])
    assert "Ich sagte ihm gestern, dass\nich nicht kommen würde,\n\n2\n00:00:03,100" in content
    assert "--> 00:00:05,000\nweil meine <i>Schwester</i> krank ist.\n" in content


def test_subtitles_whose_border_is_lost_are_divided_by_length():
    SAMPLES["b.srt"] = SRT.replace("<i>", "").replace("</i>", "").encode()
    try:
        content = translated(
            "b.srt", lambda texts, markup: ["eins zwei drei vier fünf sechs" if markup else "x"] * len(texts)
        )
    finally:
        del SAMPLES["b.srt"]
    cues = re.findall(r"-->.*\n((?:.+\n)+)", content)
    assert " ".join("".join(cues[:2]).split()) == "eins zwei drei vier fünf sechs"
    assert all(cue.strip() for cue in cues)


def test_broken_lines_of_a_text_are_joined_and_broken_again():
    seen = {text for text, _ in texts_of("a.txt")}
    assert "First point of a list" in seen
    assert any(text.startswith("This is a paragraph") and text.endswith("is translated.") for text in seen)
    assert translated("a.txt") == TEXT.swapcase()


def test_a_catalogue_gets_the_translations_that_it_lacks():
    said: list[str] = []
    found = Document(PO.encode(), "a.po", said.append).translate(swapped, target_language="de").decode()
    wanted = (
        PO.replace('close it"\nmsgstr ""', 'close it"\nmsgstr ""\n"oPEN %S \\"FILE\\"\\n"\n"AND CLOSE IT"')
        .replace('msgstr[0] ""', 'msgstr[0] "%D FILE"')
        .replace('msgstr[1] ""', 'msgstr[1] "%D FILES"')
        .replace('now"\nmsgstr ""', 'now"\nmsgstr "cLICK <b>HERE</b> NOW"')
    )
    assert found == wanted
    assert said == ["1 fuzzy message of `a.po` keeps its translation; check it"]
    with pytest.raises(UserError, match="is for the language `de`, but"):
        Document(PO.encode(), "a.po").translate(same, target_language="fr")


def test_a_text_of_writer_reads_words_whole():
    assert {
        ("A heading", ""),
        ('This is <g id="1">very</g>  good &amp; new.', "xml"),
        ('With a note<x id="1"/> inside <g id="2">this link</g> on page <g id="3" translate="no"></g>.', "xml"),
        ("The note", ""),
        ("A dog", ""),
        ("Our footer", ""),
    } <= set(texts_of("a.odt"))
    assert "Deleted words" in translated("a.odt")


def test_texts_of_cells_that_formulas_of_calc_name_are_kept():
    cells = "<text:p>Yes</text:p><text:p>No</text:p><table:table-cell table:formula='of:=IF([.A1]=\"Yes\";1;0)'/>"
    content = f"<x {ODT_NAMES} xmlns:table='urn:table'>{cells}</x>"
    sheet = archive({**ODT, "mimetype": f"{ODT['mimetype'][:-4]}spreadsheet", "content.xml": content})
    found = files_of(Document(sheet, "a.ods").translate(swapped))["content.xml 8"].decode()
    assert found == content.replace(">No<", ">nO<")


def test_a_book_gets_its_language_chapters_and_title():
    content = translated("a.epub", target_language="de")
    for text in ("<dc:language>de<", "xml:lang='de'", "<dc:title>a BOOK<", "<text>fIRST CHAPTER<", "<i>DARK</i>"):
        assert text in content
    protected = archive({**EPUB, "META-INF/encryption.xml": "<x><CipherReference URI='OEBPS/a%20b.xhtml'/></x>"})
    with pytest.raises(UserError, match="protected"):
        Document(protected, "a.epub").translate(same)


def test_markdown_keeps_code_links_and_line_breaks():
    content = translated("a.md")
    assert "a *GOOD* TITLE\n====" in content
    assert '[LINK TO A *PAGE*](https://example.org/a_b "Title"), `code` AND **BOLD' in content
    assert "![a DOG](dog.png)" in content
    assert "> a QUOTATION OF\n> TWO LINES\n" in content
    assert "   - [ ] a TASK\\\n     WITH A LINE BREAK\n" in content
    assert "| a CAR | 12 |" in content
    assert 'print("Not this")' in content
    assert "<b>html</b>" in content
    assert content.startswith("---\ntitle: Kept\n---\n")
    found = Document(b"A *good* [day *now*](x)", "a.md").translate(
        lambda texts, markup: ['Tag<g id="1"></g> <g id="2">jetzt<g id="3"></g></g>']
    )
    assert found == b"Tag [jetzt](x)"
    assert Document(b"A \\> b &lt;c&gt; &copy; \\!", "a.md").translate(swapped) == "a \\> B &lt;C&gt; © !".encode()


def test_only_texts_of_json_and_yaml_are_translated():
    assert {text for text, _ in texts_of("a.json")} == {
        'A good "title"',
        "Two",
        "lines",
        "Plain text",
        'A <g id="1">bold</g> word',
    }
    assert {text for text, _ in texts_of("a.json", keys=["items.*", "id"])} == {"Two", "lines", "some_id"}
    assert {text for text, _ in texts_of("a.yaml", keys=["name"])} == {"The name"}
    import yaml

    def lower(texts, markup):
        return ["yes: no #" if text == "A good title" else f"'{text}'" for text in texts]

    found = yaml.safe_load(translated("a.yaml", lower))
    assert found["title"] == "yes: no #"
    assert found["single"] == "'It's here'"
    assert found["block"] == "'The first line'\n'The second line'\n"
    assert found["count"] == 12
    assert found["holder"] == "${{ some.value }}"
    assert found["list"] == ["'First item'", "'second one'"]


def test_xliff_targets_that_are_empty_are_filled():
    found = Document(XLIFF.encode(), "a.xlf").translate(swapped, source_language="en", target_language="de").decode()
    state = '<target state="needs-review-translation">'
    codes = '<bpt id="3">&lt;b></bpt>SIR<ept id="3">&lt;/b></ept>.</target>'
    assert f'\n    {state}a <g id="1">GOOD</g> DAY<x id="2"/>, {codes}\n' in found
    assert f"<source>Hello</source>{state}hELLO</target>" in found
    assert "<source>Done</source><target>Fertig</target>" in found
    assert "<source>Never</source></trans-unit>" in found
    assert '<mrk mtype="seg" mid="1">oNE.</mrk> <mrk mtype="seg" mid="2">tWO.</mrk></target>' in found
    second = Document(XLIFF_2.encode(), "a.xlf").translate(same, target_language="de").decode()
    assert '<xliff version="2.0" srcLang="en" trgLang="de">' in second
    assert '<segment state="translated">' in second
    assert '</source>\n<target>A <pc id="1">good</pc> day</target></segment>' in second
    with pytest.raises(UserError, match="has the language `en-US`"):
        Document(XLIFF.encode(), "a.xlf").translate(same, source_language="fr", target_language="de")


def test_a_memory_gets_the_language_that_it_lacks():
    found = Document(TMX.encode(), "a.tmx").translate(swapped, source_language="en", target_language="de").decode()
    made = '\n  <tuv xml:lang="de"><seg>a <bpt i="1">x</bpt>GOOD<ept i="1">y</ept> DAY</seg></tuv>'
    assert found == TMX.replace("day</seg></tuv>", f"day</seg></tuv>{made}")
    with pytest.raises(UserError, match="its languages are de, en, en-GB"):
        Document(TMX.encode(), "a.tmx").translate(same, source_language="fr", target_language="es")


def bomb() -> bytes:
    return archive({**DOCX, "word/media/zeros": bytes(1 << 26)})


def encrypted() -> bytes:
    data = bytearray(archive(DOCX))
    for start in (found.start() for found in re.finditer(b"PK\x03\x04|PK\x01\x02", bytes(data))):
        place = start + (6 if data[start + 2] == 3 else 8)
        struct.pack_into("<H", data, place, struct.unpack_from("<H", data, place)[0] | 1)
    return bytes(data)


def with_document(xml: str) -> bytes:
    return archive({**DOCX, "word/document.xml": xml})


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
HOSTILE = {
    "macros": ("a.docm", archive(DOCX), "can have macros.*docx"),
    "hidden macros": ("a.docx", archive({**DOCX, "word/vbaProject.bin": b"x"}), "has macros"),
    "old": ("a.doc", b"\xd0\xcf\x11\xe0", "is not translated; save it as docx"),
    "password": ("a.docx", b"\xd0\xcf\x11\xe0" + bytes(600), "password"),
    "encrypted": ("a.docx", encrypted(), "is encrypted"),
    "bomb": ("a.docx", bomb(), "unpacks to"),
    "truncated": ("a.docx", archive(DOCX)[:500], "is damaged"),
    "empty": ("a.docx", b"", "is not a .docx document"),
    "another": ("a.docx", archive(XLSX), "but a .xlsx document"),
    "renamed": ("a.html", archive(DOCX), "is a zip archive"),
    "pdf": ("a.txt", b"%PDF-1.4", "PDF"),
    "binary": ("a.txt", b"ab\0cd", "binary"),
    "unknown": ("a.xyz", b"", "no suffix"),
    "not XML": ("a.docx", with_document(f"<w:document {W}><w:p>"), "is not valid XML"),
    "laughs": ("a.docx", with_document(f"{LAUGHS}<x>&b;</x>"), "declares entities"),
    "external": (
        "a.docx",
        with_document('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'),
        "entities",
    ),
    "deep": ("a.docx", with_document("<a>" * 1000 + "</a>" * 1000), "nested more than"),
    "no subtitles": ("a.srt", b"Hello\n", "has no subtitles"),
    "no catalogue": ("a.po", b"Hello\n", "line 1: Hello"),
    "broken catalogue": ("a.po", b'msgid "a"\nmsgstr "b\n', "line 2"),
    "locked text": ("a.odt", archive({**ODT, "META-INF/manifest.xml": "<encryption-data/>"}), "is encrypted"),
    "basic": ("a.odt", archive({**ODT, "Basic/Standard/a.xml": "<x/>"}), "has macros"),
    "no book": ("a.epub", archive({**EPUB, "META-INF/container.xml": "<x/>"}), "is damaged: it has no"),
    "no JSON": ("a.json", b'{"a": }', "line 1 is not valid JSON"),
    "deep JSON": ("a.json", b"[" * 100_000, "not valid JSON"),
    "no YAML": ("a.yaml", b"a: [b\nc: d", "is not valid YAML"),
    "no XLIFF": ("a.xlf", b"<tmx/>", "is not an XLIFF file"),
    "unknown encoding": ("a.html", b'<meta charset="klingon">', "klingon"),
    "wrong encoding": ("a.html", b'<meta charset="ascii">\xff', "not valid ascii"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.timeout(60)
def test_hostile_documents_are_refused_in_one_line(what):
    name, data, message = HOSTILE[what]
    with pytest.raises(UserError, match=message) as error:
        Document(data, name).translate(same)
    assert "\n" not in str(error.value)


@pytest.mark.timeout(60)
def test_hostile_pages_take_no_time():
    for page in (
        "<b>" * 10_000,
        "<div translate=no>" * 10_000,
        "<a '" * 10_000,
        "a <b>b</b>" * 5_000,
        "<i><p>" * 5_000,
    ):
        assert Document(page.encode(), "a.html").translate(same) == page.encode()


def test_the_command_translates_a_document_beside_it(tmp_path, capsys):
    path = tmp_path / "letter.docx"
    path.write_bytes(SAMPLES["a.docx"])
    assert translate_main(["--model", "en-de", "--document", str(path), "--beam-size", "1"]) == 0
    assert f"to `{tmp_path}/letter.de.docx`" in capsys.readouterr().err
    content = files_of((tmp_path / "letter.de.docx").read_bytes())["word/document.xml 8"].decode()
    assert [one for one, _ in formatted(content.encode()) if one.startswith("<")]
    assert ">old words<" in content
    assert "very" not in content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--document", "a.txt", "--json"], "--json is for lines of text and not for a --document"),
        (["--document", "a.txt", "--output", "a.txt"], "is the document itself"),
        (["--document", "a.txt", "--output", "b.docx"], "is a .txt document too"),
        (["--document", "a.txt", "--output", "none/b.txt"], "its folder does not exist"),
        (["--document", "b.txt"], "`b.txt` does not exist"),
        (["--document", "a.txt", "--beam-size", "0"], "beam"),
        (["--keys", "a"], "--keys needs --document"),
    ],
)
def test_wrong_use_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("Hello")
    try:
        status = translate_main(["--model", "en-de", *arguments])
    except SystemExit as error:
        status = error.code
    found = capsys.readouterr().err
    assert status == 2
    assert message in found
    assert found.count("\n") == 1
    assert (tmp_path / "a.txt").read_text() == "Hello"


def test_a_function_translates_a_file(tmp_path):
    (tmp_path / "a.txt").write_text("Hello")
    assert translate_document(tmp_path / "a.txt", None, swapped, target_language="de") == tmp_path / "a.de.txt"
    assert (tmp_path / "a.de.txt").read_text() == "hELLO"
    assert {".docx", ".html", ".po"} <= set(SUFFIXES)


def seen_in(page: str, name: str = "a.html", **options) -> list[str]:
    """The texts of a document that are translated."""
    seen: list[str] = []

    def note(texts: Sequence[str], markup: str) -> Sequence[str]:
        seen.extend(texts)
        return texts

    assert Document(page.encode(), name).translate(note, **options).decode() == page
    return seen


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ('<p>The city.<a id="r"><sup>1</sup></a> End', 'The city.<x id="1"/> End'),
        ("<p>20 m<sup>2</sup> are big", '20 m<x id="1"/> are big'),
        ("<p>Old<sup><a>[2]</a></sup> town", 'Old<x id="1"/> town'),
        ("<p>The <b>house</b><sup>1</sup><sup>2</sup> here", 'The <g id="1">house</g><x id="2"/><x id="3"/> here'),
        ("<p>Word<sup>*</sup>, next", 'Word<x id="1"/>, next'),
        ("<p>In <b>1990</b> it was", 'In <g id="1">1990</g> it was'),  # a number of its own
        ("<p>on the 3<sup>rd</sup> day", 'on the 3<g id="1">rd</g> day'),
    ],
)
def test_marks_of_notes_and_exponents_are_no_part_of_a_word(page, text):
    (seen,) = seen_in(page)
    assert re.sub(r'<g id="(\d+)" translate="no"></g>', r'<x id="\1"/>', seen) == text


def test_text_in_another_language_is_kept():
    page = '<p lang="fr">Bonjour</p><p>He said <i lang="fr">bonjour</i> twice</p><p lang="en-GB">Yes</p>'
    seen = seen_in(page, source_language="en")
    assert sorted(seen) == ['He said <g id="1" translate="no"></g> twice', "Yes"]


def test_a_book_keeps_its_author_and_gets_its_language():
    chapters = (
        '<ncx xml:lang="en"><docAuthor><text>Jane Dew</text></docAuthor><navLabel><text>One</text></navLabel></ncx>'
    )
    book = archive({**EPUB, next(name for name in EPUB if name.endswith(".ncx")): chapters})
    found = files_of(Document(book, "a.epub").translate(swapped, target_language="de"))
    (ncx,) = (content.decode() for name, content in found.items() if ".ncx" in name)
    assert ncx == chapters.replace('"en"', '"de"').replace("One", "oNE")


def test_a_unit_of_xliff_may_be_translated_in_a_group_that_is_not():
    units = "".join(
        f'<trans-unit id="{name}"{own}><source>{name}</source></trans-unit>'
        for name, own in (("No", ""), ("Yes", ' translate="yes"'))
    )
    body = f'<body><group translate="no">{units}</group></body>'
    file = f'<file source-language="en" original="a" datatype="x">{body}</file>'
    document = f'<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">{file}</xliff>'
    found = Document(document.encode(), "a.xlf").translate(swapped, target_language="de").decode()
    assert "yES</target>" in found and "nO</target>" not in found


def test_a_language_with_one_form_gets_the_plural():
    entry = 'msgid ""\nmsgstr "Plural-Forms: nplurals=1; plural=0;\\n"\n\nmsgid "%d file"\nmsgid_plural "%d files"\n'
    found = Document(f'{entry}msgstr[0] ""\n'.encode(), "a.po").translate(swapped).decode()
    assert found == f'{entry}msgstr[0] "%D FILES"\n'


def test_a_doubtful_text_is_shown_without_tags(tmp_path, capsys):
    path = tmp_path / "a.html"
    path.write_text("<p>Ein <b>Garbelflunz</b> mit vielen Grimmelchen und einem sehr alten <i>Schnurzelbaum</i> dabei.")
    assert translate_main(["--model", "de-en", "--document", str(path), "--warn-below", "1"]) == 0
    said = capsys.readouterr().err
    assert "translate: 'Ein Garbelflunz mit vielen Grimmelchen und einem sehr alten Schnurzelbaum dabei.': conf" in said
    assert "1 text is translated from" in said and "<g" not in said
