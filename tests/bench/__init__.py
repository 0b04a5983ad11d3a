"""Tests of the bench itself. What it measures is tested elsewhere."""
