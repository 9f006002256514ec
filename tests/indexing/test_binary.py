import numpy as np

from mmsearch_django.indexing.binary import HalfVectors, binding_cursor, half_vector, register_half_vectors


def test_vectors_travel_there_and_back(db):
    vectors = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    with binding_cursor("default") as cursor:
        register_half_vectors(cursor)
        cursor.execute("SELECT v::text, halfvec_send(v) FROM unnest(%b) AS sent(v)", [HalfVectors(list(vectors))])
        found = cursor.fetchall()
    for vector, (text, sent) in zip(vectors, found, strict=True):
        assert np.allclose(np.fromstring(text.strip("[]"), sep=","), vector, atol=1e-2)
        assert half_vector(sent).dtype == np.float32
        assert np.array_equal(half_vector(sent), vector.astype(np.float16).astype(np.float32))
