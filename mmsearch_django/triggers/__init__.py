"""What is installed on the site's tables so that no write is forgotten, and its check.

``changes`` lists what differs between the declarations and the database; ``install`` makes it so, ``problems`` says it.
"""

from mmsearch_django.triggers.installation import Outcome, changes, install, pending_statements, problems, statements

__all__ = ["Outcome", "changes", "install", "pending_statements", "problems", "statements"]
