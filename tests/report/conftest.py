import pytest
from hostile_record import hostile


@pytest.fixture
def record():
    """Two survivors, a mutant on which two cells disagree, one invalid and one killed."""
    return hostile()
