"""Runs on the Hugging Face hub: pushed with a card that their receipts write, and loaded as a stranger's."""

from counterfeit.hub.fetch import fetched
from counterfeit.hub.place import Address, address, is_address
from counterfeit.hub.pushing import Pushed, push

__all__ = ["Address", "Pushed", "address", "fetched", "is_address", "push"]
