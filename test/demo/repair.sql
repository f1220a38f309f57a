-- Which product the unknown SKU means. Variables: sku, meant.
INSERT INTO salesdrive.product_pin (infobase, sku, product, note)
SELECT infobase, :'sku', ref_key, 'renamed in SalesDrive, says the warehouse'
FROM salesdrive.bas_product WHERE infobase = 'bas' AND sku = :'meant'
RETURNING sku, product, note;
