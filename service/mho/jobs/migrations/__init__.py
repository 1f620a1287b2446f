"""The revisions of the tables, in the order of ``versions/``, each a step up from the one before.

A revision adds tables and columns; SQLite has no room for more (rebuilding a table would fire the
``ON DELETE CASCADE`` of those that refer to it). ``schema`` says what the newest revision has.
"""
