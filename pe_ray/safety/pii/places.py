"""Where somebody lives, and when they were born."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pe_ray.safety.pii.spans import Span

SUFFIX = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Court|Ct|Boulevard|Blvd|Way|Place|Pl|Square|Sq|Terrace|Ter|"
    r"Close|Crescent|"
    r"Cres|Circle|Cir|Parkway|Pkwy|Highway|Hwy|Trail|Trl|Grove|Gardens|Mews|Row|Hill|Heights|Alley|Loop|Plaza|"
    r"Crossing|Ridge|Route|Expressway|"
    r"Turnpike|Freeway|Green|Rise|Walk|Quay|Wharf)"
)
RARE_SUFFIX = (
    r"(?:Annex|Arcade|Bayou|Beach|Bend|Bluffs?|Bottom|Branch|Bridge|Brooks?|Burgs?|Bypass|Camp|Canyon|Cape|Causeway|"
    r"Centers?|Circles|Cliffs?|"
    r"Club|Common|Corners?|Course|Courts|Coves?|Creek|Crest|Crossroad|Curve|Dale|Dam|Divide|Drives|Estates?|"
    r"Extensions?|Falls?|Ferry|Fields?|"
    r"Flats?|Fords?|Forest|Forges?|Forks?|Fort|Gardens?|Gateway|Glens?|Greens|Groves|Harbors?|Haven|Hills|Hollow|"
    r"Inlet|Islands?|Isle|Junctions?|"
    r"Keys?|Knolls?|Lakes?|Land|Landing|Lights?|Loaf|Locks?|Lodge|Mall|Manors?|Meadows?|Mills?|Mission|Motorway|"
    r"Mount|Mountains?|Neck|Orchard|"
    r"Oval|Overpass|Parks?|Parkways|Pass|Passage|Path|Pike|Pines?|Plains?|Plazas|Points?|Ports?|Prairie|Radial|Ramp|"
    r"Ranch|Rapids?|Rest|Ridges|"
    r"River|Roads|Run|Shoals?|Shores?|Skyway|Springs?|Spurs?|Squares|Station|Stravenue|Stream|Streets|Summit|"
    r"Throughway|Trace|Track|Trafficway|"
    r"Tunnel|Underpass|Unions?|Valleys?|Via|Viaduct|Views?|Villages?|Ville|Vista|Walks|Wall|Ways|Wells?)"
)
STATES = (
    r"AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|"
    r"PA|RI|SC|SD|TN|TX|UT|VT|"
    r"VA|WA|WV|WI|WY|DC|PR|VI|GU|AS|MP|PW|FM|MH|Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|"
    r"Delaware|Florida|Georgia|Hawaii|"
    r"Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|"
    r"Mississippi|Missouri|Montana|"
    r"Nebraska|Nevada|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|"
    r"Pennsylvania|Rhode Island|"
    r"South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|Wisconsin|Wyoming"
)
UK_POSTCODE = r"(?:GIR ?0AA|[A-PR-UWYZ][A-HK-Y]?\d[A-Z\d]? ?\d[ABD-HJLNP-UW-Z]{2})"
DIRECTION = r"(?:(?:N|S|E|W|NE|NW|SE|SW|North|South|East|West)\.? )?"
PROPER = r"(?:[A-Z][\w’'-]*\.? |\d{1,3}(?:st|nd|rd|th) )"
DOT = r"(?:\.(?=,| [a-z#]))?"  # "12 Oak St., Salem", but not the end of a sentence
FLAT = r"(?:,? ?\n?(?:Apt|Apartment|Suite|Ste|Unit|Flat|Room|Rm|#)\.? ?#?\w{1,6})?"
TOWN = (
    rf"(?:,? ?\n?[A-Z][\w’'.-]*(?: [A-Z][\w’'.-]*){{0,2}},? (?:(?:{STATES})\.?,? \d{{5}}(?:-\d{{4}})?|"
    rf"{UK_POSTCODE})(?!\w))?"
)
HOUSE = r"(?<![\w$£€.,/-])(?:(?:Flat|Apt|Apartment|Unit)\.? \w{1,4}, ?)?\d{1,5}[A-Za-z]?(?:-\d{1,4})? "

STREET = re.compile(
    rf"{HOUSE}{DIRECTION}{PROPER}{{1,3}}{SUFFIX}\b(?!['’]){DOT}(?: (?:N|S|E|W|NE|NW|SE|SW)\b\.?)?{FLAT}{TOWN}"
)
LOWER_STREET = re.compile(
    r"(?<![\w$£€.,/-])\d{1,5} (?:[nsew]\.? )?[a-z]{3,20} (?:street|avenue|ave|boulevard|blvd|rd|ln)\b(?!['’])"
)
CUED_STREET = re.compile(
    rf"(?i:\b(?:at|address|live|lives|lived|living|moved to|home|house|ship to|mail to|send to|from|to|is)\b:? ?\n?)"
    rf"(?P<value>{HOUSE}{DIRECTION}{PROPER}{{1,3}}{RARE_SUFFIX}\b(?!['’]){DOT}{FLAT}{TOWN})"
)
POST_BOX = re.compile(rf"(?i:\bp\.?\s?o\.? ?box) ?#?\d{{1,6}}\b{TOWN}")
ZIP = re.compile(rf"\b(?:{STATES})\.?,? (?P<value>\d{{5}}(?:-\d{{4}})?)(?![\w-])")
CUED_ZIP = re.compile(r"(?i)\b(?:zip|postal) ?code(?: is|:)?:? (?P<value>\d{5}(?:-\d{4})?)(?![\w-])")
POSTCODE = re.compile(rf"\b{UK_POSTCODE}\b")

MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|"
    r"Nov(?:ember)?|Dec(?:ember)?)\.?"
)
DAY = r"\d{1,2}(?:st|nd|rd|th)?"
DATE = (
    rf"(?:\d{{4}}[/.-]\d{{1,2}}[/.-]\d{{1,2}}|\d{{1,2}}[/.-]\d{{1,2}}[/.-](?:\d{{4}}|\d{{2}})|"
    rf"{MONTH} {DAY}(?:,? \d{{4}})?|{DAY} (?:of )?{MONTH}(?:,? \d{{4}})?|\d{{1,2}}[/.]\d{{1,2}})(?![\w]|[/-]\d)"
)
BIRTH = re.compile(
    rf"(?i)\b(?:born|birth ?days?|birth ?date|date of birth|d\.?o\.?b\.?)(?![a-z])"
    rf"(?:[\s:,–-]|\b(?:is|was|on|the|at|in|of|my|his|her|falls|day|date|it’s|it's)\b){{0,8}}(?P<value>{DATE})"
)


def find_places(text: str, lo: int, hi: int, num_digits: int) -> Iterator[Span]:
    """In `text[lo:hi]`: street addresses with their town, post boxes, ZIP codes beside a state, UK postcodes."""
    for pattern in (STREET, LOWER_STREET, POST_BOX):
        yield from (Span(*m.span(), "address", 0.9) for m in pattern.finditer(text, lo, hi))
    yield from (Span(*m.span("value"), "address", 0.7) for m in CUED_STREET.finditer(text, lo, hi))
    yield from (Span(*m.span(), "zip", 0.8) for m in POSTCODE.finditer(text, lo, hi))
    if num_digits >= 5:
        for pattern in (ZIP, CUED_ZIP):
            yield from (Span(*m.span("value"), "zip", 0.9) for m in pattern.finditer(text, lo, hi))


def find_births(text: str, lo: int, hi: int, low: str) -> Iterator[Span]:
    """Dates that follow "born", "birthday" or "DOB"; other dates are no personal data here."""
    if any(cue in low for cue in ("born", "birth", "dob", "d.o.b")):
        yield from (Span(*m.span("value"), "birth_date", 0.9) for m in BIRTH.finditer(text, lo, hi))


def without_day(value: str) -> str:
    """The first of January of the same year, in the form of `value`: the year is what Safe Harbor leaves.

    >>> without_day("3/14/1986"), without_day("14th of March, 1986"), without_day("May 4")
    ('1/1/1986', '1 January, 1986', 'January 1')
    """
    if not re.search(r"[A-Za-z]{3}", value):
        one = "01" if re.search(r"\b0\d", value) else "1"
        parts = re.split(r"([/.-])", value)
        year_at = (0 if len(parts[0]) == 4 else 4) if len(parts) == 5 else None
        return "".join(p if i % 2 or i == year_at else one for i, p in enumerate(parts))
    year = re.search(r"(,?) (\d{4})$", value)
    day = "1 January" if value[0].isdigit() else "January 1"
    return day + (year.group() if year else "")
