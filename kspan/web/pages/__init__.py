"""The pages: HTML made on the server (``kspan/web/templates``), readable without JavaScript."""
