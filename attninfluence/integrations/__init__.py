"""Adapters to the engines that people run corpora with, one package or module an engine.

Each of them imports its engine, which is not a dependency of attninfluence; nothing else here
does.
"""
