"""The bookmaking: chapters are executed, checked against the ledger of claims, and published as pages."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
