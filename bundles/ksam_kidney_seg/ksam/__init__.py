"""KSAM: one labelled example slice tells a SAM-based network which fine structure to segment."""
