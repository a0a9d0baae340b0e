"""The Norwegian names that the sandbox's data is made of; none is a real person's or company's on purpose."""

from __future__ import annotations

FIRST_NAMES = (
    "Anne Berit Camilla Dagny Elin Frida Gunn Hedda Ingrid Jorunn Kari Liv Marit Nora Oda Ragnhild Sigrid Tone Unni Vilde "
    "Åse Arne Bjørn Dag Eirik Finn Geir Håkon Ivar Jon Kjell Lars Magnus Nils Ola Per Ragnar Sverre Terje Øystein"
).split()

LAST_NAMES = (
    "Aas Bakken Berge Bråten Dahl Eide Fossum Gundersen Haugen Hovland Iversen Jensen Kristoffersen Lie Lunde Moen Myhre "
    "Nygård Næss Olsen Pettersen Rønning Sandvik Skår Solberg Strand Sæther Tangen Tveit Ødegård Østby Ås"
).split()

COMPANY_FIRST = (
    "Fjellheim Nordlys Bryggen Solsiden Vestfold Lofoten Havgap Skogly Granli Tindtoppen Fjordgløtt Myrdal Elvebakken "
    "Storgata Sørøya Kvitøy Hardanger Romsdal Trøndelag Nidaros"
).split()

COMPANY_TRADES = (
    "Rørlegger",
    "Tannklinikk",
    "Bilverksted",
    "Elektro",
    "Kraft",
    "Bredbånd",
    "Treningssenter",
    "Regnskap",
    "Byggevare",
    "Dyreklinikk",
    "Barnehage",
    "Møbler",
    "Båtutleie",
    "Optikk",
    "Sykkel & Sport",
)

STREETS = (
    "Storgata Kirkeveien Skolegata Fjordveien Bjørkeveien Solbakken Nedre vei Strandgata Øvre Torggate Lyngveien".split(
        " "
    )
)

PLACES = (
    ("0150", "Oslo"),
    ("4006", "Stavanger"),
    ("5003", "Bergen"),
    ("6002", "Ålesund"),
    ("7011", "Trondheim"),
    ("8006", "Bodø"),
    ("9008", "Tromsø"),
    ("3701", "Skien"),
    ("2615", "Lillehammer"),
    ("1606", "Fredrikstad"),
)

DESCRIPTIONS = (
    "Månedsleie",
    "Rørleggerarbeid",
    "Tannbehandling",
    "Strøm og nettleie",
    "Medlemskap",
    "Service og EU-kontroll",
    "Varekjøp",
    "Bredbånd",
    "Årsavgift",
    "Konsultasjon",
)

FAILURES = (
    "Organisasjonsnummer er ugyldig",
    "Forfallsdato er før fakturadato",
    "Faktura finnes allerede",
    "Skyldner mangler adresse",
    "Beløp må være større enn null",
    "Ukjent valuta",
)
