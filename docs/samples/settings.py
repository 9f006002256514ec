INSTALLED_APPS += [
    "mmsearch_django",
]

MMSEARCH = {
    "EMBEDDERS": {
        "default": {"BACKEND": "mmsearch_django.embedders.starter.StarterEmbedder"},
    },
}
