"""Answers as values for programs: what ``-o json`` prints, what ``/v1`` returns and what the pages show.

Each struct is an answer or a part of one. Its fields are the keys of the JSON, in order. Times are RFC 3339 in UTC
unless a field says otherwise.
"""
