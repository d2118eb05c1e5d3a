//! Drives nodes through their control sockets, with meters beside them, and writes records.
