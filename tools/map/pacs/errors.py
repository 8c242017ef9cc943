"""What may go wrong beside a PACS, by what follows from it."""

from _base import ToolError


class SettingError(ToolError):
    """An option of the command line: the watcher does not start."""


class SiteError(ToolError):
    """No study's fault (the server is away, the disk is full): wait and go on, no attempt is counted."""


class StudyError(ToolError):
    """This study failed this time: counted, tried again later."""


class AbsentError(StudyError):
    """The server does not have it (HTTP 404)."""


class SkipError(ToolError):
    """There is nothing in this study for this command: no failure, nothing to store."""


class ParkError(ToolError):
    """Another attempt would end the same way: the study is parked until somebody looks at it."""
