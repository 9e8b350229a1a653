"""Builds the one C function where there is a compiler. Without one the package works, more slowly."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "samebits_record._digest",
            sources=["samebits_record/_digest.c"],
            extra_compile_args=["-O3", "-std=c11", "-fno-strict-aliasing"],
            optional=True,
        )
    ]
)
