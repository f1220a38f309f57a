-- Takes an order out of the exchange. Variables: order.
\o /dev/null
SELECT salesdrive.skip(account => 'shop', order_id => :order, reason => 'wrong sum, the manager enters it by hand');
