from boto3.s3.transfer import TransferConfig
from botocore.config import Config

STORAGES = {
    "default": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": "media-of-mine",
            # A new file gets a new name, as it does on a disk, and so is noticed.
            "file_overwrite": False,
            # A file costs a worker two tries of at most 3 + 10 seconds, and no more.
            "client_config": Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2}),
            "transfer_config": TransferConfig(num_download_attempts=1),
        },
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
