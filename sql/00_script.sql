-- Purpose: first lines of the install script. Rights: run by CREATE EXTENSION only.
\echo Use "CREATE EXTENSION salesdrive" to load this file. \quit

SET LOCAL client_min_messages = warning;

COMMENT ON SCHEMA salesdrive IS 'Exchange between SalesDrive (CRM) and BAS (1C:Enterprise family): settings, staging, work, history';
