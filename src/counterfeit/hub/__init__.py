"""Runs by name, from the Hugging Face hub or the zoo, each file checked; and pushed, with a card of their receipts."""

from counterfeit.hub.names import fetched, is_address, last, local
from counterfeit.hub.place import Address, address
from counterfeit.hub.pushing import Pushed, push

__all__ = ["Address", "Pushed", "address", "fetched", "is_address", "last", "local", "push"]
