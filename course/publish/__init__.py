"""What full runs gave, kept in docs/results, and RESULTS.md made of it; how the profiles agree."""

from course.publish.headlines import command

__all__ = ["command"]
