"""The Norwegian words and names that the sandbox's data is made of, put together at random: nobody is meant."""

from __future__ import annotations

FIRST_NAMES = (  # noqa: SIM905  # a word list reads best as words
    "Anne Berit Camilla Dagny Elin Frida Gunn Hedda Ingrid Jorunn Kari Liv Marit Nora Oda Ragnhild Sigrid "
    "Tone Unni Vilde Åse Arne Bjørn Dag Eirik Finn Geir Håkon Ivar Jon Kjell Lars Magnus Nils Ola Per "
    "Ragnar Sverre Terje Øystein"
).split()

LAST_NAMES = (  # noqa: SIM905  # a word list reads best as words
    "Aas Bakken Berge Bråten Dahl Eide Fossum Gundersen Haugen Hovland Iversen Jensen Kristoffersen Lie "
    "Lunde Moen Myhre Nygård Næss Olsen Pettersen Rønning Sandvik Skår Solberg Strand Sæther Tangen Tveit "
    "Ødegård Østby Ås"
).split()

COMPANY_FIRST = (  # noqa: SIM905  # the same
    "Fjellheim Nordlys Bryggen Solsiden Vestfold Lofoten Havgap Skogly Granli Tindtoppen Fjordgløtt Myrdal "
    "Elvebakken Storgata Sørøya Kvitøy Hardanger Romsdal Trøndelag Nidaros"
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
