import contextlib
import struct
import warnings
import zlib
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.db.models.fields.files import FieldFile
from PIL import Image as Pillow

from mmsearch_django.exceptions import (
    CorruptFile,
    EmptyFile,
    FileTooLarge,
    StorageUnavailable,
    TooManyPixels,
    TooMuchMemory,
    UnsupportedFile,
)
from mmsearch_django.media.images import decode, decode_here, read
from tests.models import Asset

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(image, format, **options):
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def red(size=(8, 8), mode="RGB"):
    return Pillow.new("RGB", size, RED).convert(mode)


def noise():
    return Pillow.effect_noise((64, 64), 90).convert("RGB")


def halves(mode="RGB"):
    """Red on the left, blue on the right."""
    image = Pillow.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    return image.convert(mode)


def near(pixel, colour, tolerance=6):
    return max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= tolerance


def stored(name, data, storage=None):
    """A FieldFile on a storage that knows no paths."""
    storage = storage or InMemoryStorage()
    field = Asset._meta.get_field("file").clone()
    field.storage = storage
    field.attname = field.name = "file"
    return FieldFile(Asset(), field, storage.save(name, ContentFile(data)))


def png_header(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


class TestFormats:
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP", "JPEG2000", "PPM"])
    def test_every_raster_format_becomes_rgb(self, format):
        image = decode(encoded(halves(), format))
        assert image.mode == "RGB"
        assert image.size == (40, 20)
        assert near(image.getpixel((5, 10)), RED, 12)
        assert near(image.getpixel((35, 10)), BLUE, 12)

    @pytest.mark.parametrize("format", ["EPS", "PDF", "PCX", "SGI"])
    def test_other_formats_of_pillow_are_refused(self, format):
        with pytest.raises(UnsupportedFile, match="Convert it"):
            decode(encoded(red(), format))

    @pytest.mark.parametrize(
        ("mode", "format"),
        [("1", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("CMYK", "TIFF")],
    )
    def test_every_mode_becomes_rgb(self, mode, format):
        grey = decode(encoded(Pillow.new("L", (8, 8), 255).convert("RGB").convert(mode), format))
        assert grey.mode == "RGB"
        assert near(grey.getpixel((4, 4)), WHITE)

    def test_cmyk_keeps_its_colour(self):
        assert near(decode(encoded(red(mode="CMYK"), "JPEG")).getpixel((4, 4)), RED, 12)

    def test_the_first_frame_of_an_animation(self):
        for format in ("GIF", "WEBP", "PNG", "AVIF"):
            data = encoded(red(), format, save_all=True, append_images=[Pillow.new("RGB", (8, 8), BLUE)])
            assert near(decode(data).getpixel((4, 4)), RED, 12), format

    def test_nothing_refers_to_the_file_any_more(self):
        assert type(decode(encoded(red(), "PNG"))) is Pillow.Image


class TestSixteenBits:
    def test_png_is_scaled_by_its_own_white(self):
        values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
        pixels = np.asarray(decode(encoded(Pillow.fromarray(values), "PNG")))[:, :, 0]
        assert np.abs(pixels.astype(int) - (values >> 8)).max() <= 1

    def test_dark_pictures_stay_dark(self):
        values = np.full((8, 8), 1000, dtype=np.uint16)
        assert decode(encoded(Pillow.fromarray(values), "PNG")).getpixel((0, 0)) == (3, 3, 3)

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (np.float32([[0.0, 0.5, 1.0]]), [0, 127, 255]),
            (np.float32([[0.0, 128.0, 255.0]]), [0, 128, 255]),
            (np.float32([[-100.0, np.nan, 1e6]]), [0, 0, 255]),
            (np.float32([[0.0, np.inf, 3e38]]), [0, 0, 255]),
            (np.int32([[0, 100_000, 200_000]]), [0, 127, 255]),
            (np.int32([[0, 0, 0]]), [0, 0, 0]),
        ],
    )
    def test_floats_and_large_integers(self, values, expected):
        assert np.asarray(decode(encoded(Pillow.fromarray(values), "TIFF")))[0, :, 0].tolist() == expected


class TestTransparency:
    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_alpha_is_laid_on_white(self, mode):
        assert decode(encoded(Pillow.new(mode, (8, 8), 0), "PNG")).getpixel((4, 4)) == WHITE

    def test_a_transparent_palette_entry_is_white(self):
        image = halves("P")
        data = encoded(image, "PNG", transparency=image.getpixel((5, 5)))
        assert decode(data).getpixel((5, 5)) == WHITE
        assert decode(data).getpixel((35, 5)) == BLUE

    def test_a_palette_with_a_transparency_for_each_entry(self):
        image = halves("P")
        data = encoded(image, "PNG", transparency=bytes([0] * 256))
        assert decode(data).getpixel((35, 5)) == WHITE

    def test_a_transparent_colour(self):
        data = encoded(halves(), "PNG", transparency=RED)
        assert decode(data).getpixel((5, 5)) == WHITE

    def test_half_transparent_is_half_white(self):
        assert near(decode(encoded(Pillow.new("RGBA", (8, 8), (*RED, 128)), "PNG")).getpixel((4, 4)), (255, 127, 127))


class TestOrientation:
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
    def test_a_picture_lying_on_its_side_is_set_upright(self, format):
        exif = Pillow.Exif()
        exif[0x0112] = 6
        image = decode(encoded(halves(), format, exif=exif))
        assert image.size == (20, 40)
        assert near(image.getpixel((10, 5)), RED, 12)
        assert near(image.getpixel((10, 35)), BLUE, 12)

    def test_all_eight_ways_come_out_alike(self):
        upright = np.asarray(halves("L").resize((6, 4)))
        undo = {2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose, 6: np.rot90}
        undo |= {7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1)}
        for orientation, store in undo.items():
            exif = Pillow.Exif()
            exif[0x0112] = orientation
            picture = decode(encoded(Pillow.fromarray(store(upright).copy()), "PNG", exif=exif))
            assert np.array_equal(np.asarray(picture)[:, :, 0], upright), orientation

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("exif", [b"MM\x00*\xff\xff\xff\xff", b"no such thing"])
    def test_broken_exif_harms_nothing(self, format, exif):
        assert decode(encoded(halves(), format, exif=b"Exif\x00\x00" + exif)).size == (40, 20)


class TestSize:
    def test_the_longer_side_is_at_most_1024(self):
        assert decode(encoded(red((3000, 1500)), "PNG")).size == (1024, 512)
        assert decode(encoded(red((700, 1400)), "JPEG")).size == (512, 1024)

    def test_small_pictures_are_left_alone(self):
        assert decode(encoded(red((1, 1)), "PNG")).size == (1, 1)

    def test_a_thread_is_no_division_by_zero(self):
        for format in ("JPEG", "PNG"):
            assert decode(encoded(red((20_000, 1)), format)).size == (1024, 1)

    def test_a_large_jpeg_is_decoded_at_a_fraction(self, monkeypatch):
        data = encoded(red((8192, 2048)), "JPEG")
        decoded = []
        load = Pillow.Image.load
        monkeypatch.setattr(Pillow.Image, "load", lambda self: decoded.append(self.size) or load(self))
        assert decode_here(data, "").size == (1024, 256)
        assert max(decoded) == (2048, 512)


class TestLimits:
    def test_a_bomb_is_refused_by_its_header(self):
        with pytest.raises(TooManyPixels, match=r"'bomb.png' has too many pixels"):
            decode(png_header(100_000, 100_000), name="bomb.png")

    def test_the_limit_of_the_site(self, settings):
        settings.MMSEARCH = {"MAX_PIXELS": 99}
        assert decode(encoded(red((9, 11)), "PNG"))
        with pytest.raises(TooManyPixels, match=r"10 x 10; MMSEARCH\['MAX_PIXELS'\] is 99"):
            decode(encoded(red((10, 10)), "PNG"))

    def test_the_warning_of_pillow_as_an_error(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(TooManyPixels):
                decode_here(png_header(9500, 9500), "")

    def test_a_gif_frame_larger_than_its_canvas(self, settings):
        settings.MMSEARCH = {"MAX_PIXELS": 10_000}
        data = bytearray(encoded(red((4, 4)), "GIF"))
        descriptor = data.index(b"\x2c")
        data[descriptor + 5 : descriptor + 9] = struct.pack("<HH", 1000, 1000)
        with pytest.raises(TooManyPixels):
            decode(bytes(data))

    def test_too_many_bytes(self, settings):
        data = encoded(red(), "PNG")
        settings.MMSEARCH = {"MAX_BYTES": len(data) - 1}
        with pytest.raises(FileTooLarge, match="MAX_BYTES"):
            decode(data)
        with pytest.raises(FileTooLarge, match="'a.png'"):
            read(stored("a.png", data))

    def test_pillows_own_limit_is_not_touched(self):
        before = Pillow.MAX_IMAGE_PIXELS
        with pytest.raises(TooManyPixels):
            decode(png_header(100_000, 100_000))
        assert before == Pillow.MAX_IMAGE_PIXELS


class TestDamage:
    def test_no_bytes(self):
        with pytest.raises(EmptyFile, match="'a.png' has no bytes"):
            decode(b"", name="a.png")

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"])
    def test_cut_short(self, format):
        noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        data = encoded(Pillow.fromarray(noise), format)
        for share in (0.1, 0.5, 0.9):
            with pytest.raises(CorruptFile, match="intact copy"):
                decode(data[: int(len(data) * share)], name="a")

    def test_only_the_signature(self):
        with pytest.raises(CorruptFile) as caught:
            decode(b"\x89PNG\r\n\x1a\n", name="a.png")
        assert str(caught.value) == (
            "'a.png' is damaged or cut short (its header cannot be read). Upload an intact copy."
        )

    def test_a_header_of_no_pixels(self):
        with pytest.raises(CorruptFile):
            decode(png_header(0, 0))

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "JPEG2000"])
    def test_flipped_bytes_raise_nothing_else(self, format):
        data = encoded(halves(), format)
        random = np.random.default_rng(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(60):
                broken = bytearray(data)
                for place in random.integers(0, len(data), 4):
                    broken[place] = random.integers(256)
                with contextlib.suppress(CorruptFile, UnsupportedFile, TooManyPixels):
                    decode(bytes(broken))

    @pytest.mark.parametrize("error", [ValueError, SyntaxError, struct.error, zlib.error, OverflowError])
    def test_whatever_a_reader_raises(self, error, monkeypatch):
        def load(self):
            raise error("hostile")

        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
        with pytest.raises(CorruptFile, match=f"{error.__name__}|{error.__qualname__}"):
            decode_here(encoded(red(), "BMP"), "a")

    @pytest.mark.parametrize("error", [MemoryError(), OSError("out of memory when reading image file")])
    def test_no_memory_left(self, error, monkeypatch):
        def load(self):
            raise error

        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
        with pytest.raises(TooMuchMemory, match=r"'a' needs more memory .*DECODE_MEMORY"):
            decode_here(encoded(red(), "BMP"), "a")


class TestRead:
    def test_a_storage_without_paths(self):
        data = encoded(red(), "PNG")
        picture = read(stored("a.png", data))
        assert picture.image.getpixel((0, 0)) == RED
        assert picture.digest == sha256(data).digest()

    def test_the_file_is_closed(self, tmp_path):
        opened = []

        class Watched(FileSystemStorage):
            def open(self, name, mode="rb"):
                opened.append(super().open(name, mode))
                return opened[-1]

        read(stored("a.png", encoded(red(), "PNG"), Watched(tmp_path)))
        assert [file.closed for file in opened] == [True]

    @pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a.mp4", "a", "a.unheardof"])
    def test_a_picture_under_a_wrong_name(self, name):
        assert read(stored(name, encoded(red(), "JPEG"))).image.size == (8, 8)

    @pytest.mark.parametrize(
        "name", ["a.jpg", "a.PNG", "a.webp", "a.avif", "a.heic", "a.jxl", "a.svg", "a", "a.unheardof"]
    )
    def test_no_picture_under_the_name_of_one(self, name):
        with pytest.raises(UnsupportedFile, match=f"'{name}' is no picture"):
            read(stored(name, b"Hello, this is text."))

    @pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mp3", "a.pdf", "a.txt", "a.zip", "a.tar.gz"])
    @pytest.mark.parametrize(
        "data", [b"Hello, this is no picture.", b"P3 begins like a picture, as BM does.", b"BMP?" * 30]
    )
    def test_another_medium_is_no_error(self, name, data):
        assert read(stored(name, data)) is None

    def test_of_another_medium_only_the_header_is_read(self):
        storage = CountingStorage()
        assert read(stored("film.mp4", bytes(50_000), storage)) is None
        assert storage.read <= 64

    def test_of_a_file_too_large_nothing_is_read(self, settings):
        settings.MMSEARCH = {"MAX_BYTES": 1000}
        storage = CountingStorage()
        with pytest.raises(FileTooLarge):
            read(stored("a.bmp", encoded(red((100, 100)), "BMP"), storage))
        assert read(stored("film.mp4", bytes(50_000), storage)) is None
        assert storage.read == 0

    def test_a_storage_that_does_not_know_sizes(self, settings):
        settings.MMSEARCH = {"MAX_BYTES": 1000}
        storage = CountingStorage(sized=False)
        with pytest.raises(FileTooLarge):
            read(stored("a.bmp", encoded(red((100, 100)), "BMP"), storage))
        assert storage.read == 1001

    def test_no_bytes(self):
        with pytest.raises(EmptyFile, match="'a.png'"):
            read(stored("a.png", b""))

    def test_damaged(self):
        with pytest.raises(CorruptFile, match="'a.png'"):
            read(stored("a.png", encoded(red(), "PNG")[:50]))

    def test_half_a_download(self):
        storage = CountingStorage(stops=200)
        with pytest.raises(StorageUnavailable, match=r"gave 2\d\d of the \d+ bytes of 'a.png'") as caught:
            read(stored("a.png", encoded(noise(), "PNG"), storage))
        assert not caught.value.permanent

    def test_a_download_of_nothing(self):
        with pytest.raises(StorageUnavailable, match="gave 0 of the"):
            read(stored("a.png", encoded(red(), "PNG"), CountingStorage(stops=0)))

    def test_a_download_of_less_than_a_header(self):
        with pytest.raises(StorageUnavailable, match="gave 3 of the 10000"):
            read(stored("a.png", b"\x89PN", CountingStorage(claims=10_000)))

    def test_a_storage_that_counts_what_it_compressed(self):
        """A size that is not the file's matters to nobody, as long as the picture can be read."""
        file = stored("a.png", encoded(red(), "PNG"), CountingStorage(claims=10_000))
        assert read(file).image.size == (8, 8)


class CountingStorage(InMemoryStorage):
    def __init__(self, sized=True, claims=None, stops=None):
        super().__init__()
        self.sized, self.claims, self.stops, self.read = sized, claims, stops, 0

    def _open(self, name, mode="rb"):
        return Stream(self, super()._open(name, mode))


class Stream:
    """A file that counts what is read of it, and returns less than it is asked for."""

    def __init__(self, storage, file):
        self.storage, self.file = storage, file

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    @property
    def size(self):
        if not self.storage.sized:
            raise AttributeError("Unable to determine the file's size.")
        return self.storage.claims or self.file.size

    def read(self, count):
        if self.storage.stops is not None and self.storage.read >= self.storage.stops:
            return b""
        data = self.file.read(min(count, 48))
        self.storage.read += len(data)
        return data
