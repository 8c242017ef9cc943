"""The watcher beside a PACS: a DICOMweb client, what is known of each study, and one study's way through."""
