"""A picture is replaced, deleted or taken over at the very moment its vector is written: the old one never answers.

`python -m bench.races` runs 2,000 of these races.
"""

from __future__ import annotations

from bench.races import Races
from imgsearch.settings import Settings


def test_forced_races_end_well_also_when_connections_are_cut_off(settings: Settings) -> None:
    races = Races(settings, seed=7, broken=0.1)
    races.run(200)
    assert races.wrong == []
    seen = {outcome.partition(":")[0] for outcome in races.outcomes}
    assert seen == {"replaced", "replaced_slowly", "delivered_slowly", "deleted", "taken_over"}
    assert any("delivered first" in outcome for outcome in races.outcomes), "the races had only one order"
    assert any("replaced first" in outcome for outcome in races.outcomes), "the races had only one order"
