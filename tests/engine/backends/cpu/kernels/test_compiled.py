"""The cache of the compiled loops."""

from exitwave.engine.backends.cpu.kernels import compiled, sums


def test_the_cache_of_a_loop_depends_on_the_sources_of_all_loops() -> None:
    assert sums.descend._cache._cache_file._version == compiled._VERSION
    names = {each.name for each in compiled._SOURCES}
    assert {"gather.py", "sums.py", "butterflies.py"} <= names
