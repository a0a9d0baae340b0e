"""First contact: which assumptions hold on a server, found out by reading alone, and its shapes without its data.

profile = await probe(client, organization_id)
profile.save("profile.json")
"""

from amili_async._profile import Finding, Profile, SortFound
from amili_async._routes import Generation, Mark
from amili_async.probe._anonymous import JSON, Anonymizer, Number
from amili_async.probe._probe import probe
from amili_async.probe._recording import Recorder

__all__ = [
    "JSON",
    "Anonymizer",
    "Finding",
    "Generation",
    "Mark",
    "Number",
    "Profile",
    "Recorder",
    "SortFound",
    "probe",
]
