"""Do the lessons transfer? Verdicts of the same claim on drawn images, on photos, and on the full collections.

Two profiles agree on a claim that both decide (holds or contradicted) where both decide it alike. Claims are the same
where notebook and text are.
"""

import itertools
from pathlib import Path
from typing import NamedTuple

from course import UsageError, records
from course.publish import full_runs
from course.report import wording
from lib.results import Claim

__all__ = ["Agreement", "claims_of_profile", "command", "compare", "pairs", "text"]

DECIDED = ("holds", "contradicted")


class Agreement(NamedTuple):
    """How two profiles judge the claims that both make."""

    profiles: tuple[str, str]
    n_both: int  # claims that both made
    n_decided: int  # of these, decided in both
    opposite: list[tuple[Claim, Claim]]  # of these, decided differently

    @property
    def n_same(self) -> int:
        return self.n_decided - len(self.opposite)

    @property
    def share_same(self) -> float | None:
        """Of those decided in both; None where there are none."""
        return self.n_same / self.n_decided if self.n_decided else None


def compare(profiles: tuple[str, str], first: list[Claim], second: list[Claim]) -> Agreement:
    """How two profiles with these claims agree.

    >>> made = [Claim("00", text, "holds", 1) for text in ("a", "b", "c")]
    >>> other = [Claim("00", "a", "holds", 1), Claim("00", "b", "contradicted", 0), Claim("00", "c", "undecided", 0)]
    >>> found = compare(("quick", "full"), made, other)
    >>> found.n_both, found.n_decided, found.share_same, [claim.text for claim, _ in found.opposite]
    (3, 2, 0.5, ['b'])
    """
    by_identity = {claim.identity: claim for claim in second}
    both = [(claim, by_identity[claim.identity]) for claim in first if claim.identity in by_identity]
    decided = [pair for pair in both if all(claim.verdict in DECIDED for claim in pair)]
    opposite = [(claim, other) for claim, other in decided if claim.verdict != other.verdict]
    return Agreement(profiles, len(both), len(decided), opposite)


def pairs(claims: dict[str, list[Claim]]) -> list[Agreement]:
    """The agreement of each two profiles of {profile: claims}."""
    return [compare(two, claims[two[0]], claims[two[1]]) for two in itertools.combinations(claims, 2)]


def claims_of_profile(profile: str, reports: str | Path, kept: str | Path) -> list[Claim]:
    """The claims of the last runs of a profile in `reports` that ended well, then those of kept runs.

    Of profile full only the kept runs count. A claim made by several runs counts once, as the first of them has it.
    """
    claims = []
    if profile != "full":
        for path in sorted((Path(reports) / profile / "state").glob("*.json")):
            try:
                claims += records.last_run(reports, profile, path.stem).claims
            except ValueError:  # failed, stopped, or still running: not a finished run
                continue
    for run in full_runs.read_runs(kept, profile):
        claims += run["claims"]
    return list({claim.identity: claim for claim in reversed(claims)}.values())[::-1]


def verdicts_elsewhere(claims: dict[str, list[Claim]], profile: str) -> dict:
    """What profiles other than `profile` decided: {claim identity: {profile: verdict}}."""
    found = {}
    for other, made in claims.items():
        for claim in made if other != profile else []:
            found.setdefault(claim.identity, {})[other] = claim.verdict
    return found


def share_undecided(claims: list[Claim]) -> float | None:
    """Of the claims that were decided or left undecided; None where there are none."""
    judged = [claim for claim in claims if claim.verdict != "not run"]
    return sum(claim.verdict == "undecided" for claim in judged) / len(judged) if judged else None


def text(claims: dict[str, list[Claim]], width: int = 100) -> str:
    """Three tables: the verdicts of each profile, how each two agree, and the claims of opposite sign."""
    from course.report import text_table

    rows = []
    for profile, made in claims.items():
        counts = wording.verdict_counts(made)
        rows.append([profile, str(len(made)), *(str(counts.get(verdict, 0)) for verdict in wording.VERDICTS),
                     _percent(share_undecided(made))])  # fmt: skip
    parts = [text_table(["profile", "claims", *wording.VERDICTS, "share undecided"], rows, width)]
    agreements = pairs(claims)
    rows = [[" and ".join(found.profiles), str(found.n_both), str(found.n_decided), str(found.n_same),
             _percent(found.share_same)] for found in agreements]  # fmt: skip
    parts.append(text_table(["profiles", "claims in both", "decided in both", "same sign", "share"], rows, width))
    rows = [[claim.notebook, claim.text, *(f"{profile}: {of.verdict}" for profile, of in
                                           zip(found.profiles, (claim, other), strict=True))]
            for found in agreements for claim, other in found.opposite]  # fmt: skip
    if rows:
        parts.append("Opposite signs\n" + text_table(["notebook", "claim", "one", "other"], rows, width))
    return "\n\n".join(parts)


def _percent(share):
    return "–" if share is None else f"{100 * share:.0f} %"


def command(profiles: list[str] | None, reports: Path, kept: Path, width: int = 100) -> int:
    """Print how the profiles agree, by default quick, photos and full; one without a finished run is left out."""
    try:
        claims = {
            profile: claims_of_profile(profile, reports, kept) for profile in profiles or ("quick", "photos", "full")
        }
    except ValueError as error:
        raise UsageError(str(error)) from error
    missing = [profile for profile, made in claims.items() if not made]
    claims = {profile: made for profile, made in claims.items() if made}
    if len(claims) < 2:
        raise UsageError(f"expected finished runs of two profiles, found only {', '.join(claims) or 'none'}")
    print(text(claims, width))
    for profile in missing:
        print(f"\nno finished run of profile {profile}: `python -m course run --profile {profile}` makes one")
    return 0
