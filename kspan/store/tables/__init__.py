"""Reading and writing the tables: journal, projection, exports, retention."""
