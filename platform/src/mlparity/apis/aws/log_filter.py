"""CloudWatch Logs' filter patterns for unstructured lines: terms, phrases, optional and excluded terms, regex.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mlparity.apis.aws.message import AwsError

Matches = Callable[[str], bool]

_TERM = re.compile(r'\s*(?P<sign>[-?]?)(?:"(?P<phrase>(?:[^"\\]|\\.)*)"|%(?P<regex>[^%]*)%|(?P<word>\S+))')
_PLAIN = re.compile(r"[\w.,:;/@#&+=~^$!|<>(){}\[\]*'-]+")


def compile_filter(pattern: str) -> Matches:
    """The pattern as a test of one line; matching is case-sensitive, as the vendor's.

    Raises ``AwsError`` (InvalidParameterException) for a pattern that is malformed, or of the JSON and
    space-delimited kinds, which are not served here.
    """
    text = pattern.strip()
    if text.startswith(("{", "[")):
        raise AwsError(
            "InvalidParameterException",
            "Invalid filter pattern: JSON and space-delimited patterns are not served for these log groups; use terms",
        )
    required: list[Matches] = []
    optional: list[Matches] = []
    excluded: list[Matches] = []
    lists = {"": required, "?": optional, "-": excluded}
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise AwsError("InvalidParameterException", "Invalid filter pattern")
        lists[match["sign"]].append(_term(match))
        position = match.end()

    def matches(line: str) -> bool:
        if any(test(line) for test in excluded) or not all(test(line) for test in required):
            return False
        # Beside required terms the optional ones are ignored, as the vendor does.
        return bool(required) or not optional or any(test(line) for test in optional)

    return matches


def _term(match: re.Match[str]) -> Matches:
    if match["regex"] is not None:
        try:
            expression = re.compile(match["regex"])
        except re.error:
            raise AwsError("InvalidParameterException", "Invalid filter pattern: invalid regular expression") from None
        return lambda line: expression.search(line) is not None
    if match["phrase"] is not None:
        phrase = match["phrase"].replace('\\"', '"').replace("\\\\", "\\")
        return lambda line: phrase in line
    word = match["word"]
    if '"' in word or _PLAIN.fullmatch(word) is None:
        raise AwsError("InvalidParameterException", "Invalid filter pattern: put terms with other characters in quotes")
    return lambda line: word in line
