"""Where pgvector is. Its types and operators have no qualified names in our SQL or in that of pgvector-python."""

from dataclasses import dataclass

from django.db import connections


@dataclass(frozen=True)
class Extension:
    """The extension in one database, as its current role sees it. Names are quoted where SQL wants it."""

    using: str
    schema: str
    on_path: bool
    role: str
    path: str

    @property
    def out_of_sight(self) -> str:
        return (
            f"pgvector is in schema {self.schema} of database '{self.using}', which is not on the search_path of "
            f"role {self.role}."
        )

    @property
    def remedy(self) -> str:
        return (
            f"Run: ALTER ROLE {self.role} SET search_path = {self.path}, {self.schema}; "
            f"and so for every role that searches or indexes."
        )


def find(using: str) -> Extension | None:
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT quote_ident(nspname), nspname = ANY(current_schemas(false)), quote_ident(current_user),"
            " current_setting('search_path') FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
            " WHERE extname = 'vector'"
        )
        row = cursor.fetchone()
    return Extension(using, *row) if row else None
