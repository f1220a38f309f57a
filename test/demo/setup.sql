-- The extension, a role of their own for its workers, one infobase, one account.
-- Variables: bas_url, crm_url, token.
\o /dev/null

CREATE EXTENSION salesdrive;

\echo '-- The workers run as a role of their own: they need no superuser.'
CREATE ROLE exchange LOGIN;
SELECT salesdrive.grant_access(role => 'exchange', level => 'admin');
ALTER DATABASE demo SET salesdrive.role = 'exchange';
SELECT salesdrive.restart_workers();

\echo '-- A base of BAS Управління невеликою фірмою, and an account (in life its address is https://NAME.salesdrive.me).'
SELECT salesdrive.add_infobase(
    name     => 'bas',
    profile  => 'unf',
    url      => :'bas_url',
    username => 'Обмен',
    password => 'secret');

SELECT salesdrive.add_account(
    name          => 'shop',
    url           => :'crm_url',
    api_key       => 'demo-key',
    infobase      => 'bas',
    webhook_token => :'token',
    identity      => 'demo');

\echo '-- Further options are columns: post the documents, too.'
UPDATE salesdrive.account SET posting = true WHERE name = 'shop';
