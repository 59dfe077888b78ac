//! The exchange with a server that plays a PDS and an appview of spaces.
