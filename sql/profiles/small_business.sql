-- Purpose: BAS Малий бізнес: it is УНФ для України, whose rows it takes over (unf.sql). Only rows.

INSERT INTO profile (name, origin, title, parent) VALUES ('small_business', 'shipped', 'BAS Малий бізнес', 'unf');
