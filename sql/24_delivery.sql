-- Purpose: parcels of the orders: carrier, TTN, address, in one form whatever shape they came in.
-- Rights: written by the engine; readers read.

CREATE TABLE crm_order_delivery (
    account        text NOT NULL,
    order_id       bigint NOT NULL,
    parcel_no      integer NOT NULL,
    carrier        text NOT NULL,
    service        text,
    ttn            text,
    ttn_ref        text,
    parent_ttn     text,
    status         text,
    status_code    text,
    status_at      timestamp,
    area           text,
    district       text,
    city           text,
    city_type      text,
    city_ref       text,
    settlement_ref text,
    branch         text,
    branch_name    text,
    branch_ref     text,
    street         text,
    house          text,
    flat           text,
    address        text,
    note           text,
    payer          text,
    payment_method text,
    postpay        boolean,
    postpay_sum    numeric,
    postpay_payer  text,
    cost           numeric,
    cargo_type     text,
    sender         text,
    entity         text,
    expected_at    timestamp,
    received_at    timestamp,
    PRIMARY KEY (account, order_id, parcel_no)
);
COMMENT ON TABLE crm_order_delivery IS 'Parcels of the orders, made from ord_delivery_data and the blocks of carriers (ord_novaposhta …); key delivery of the merged order holds the same rows';
COMMENT ON COLUMN crm_order_delivery.account IS 'Account';
COMMENT ON COLUMN crm_order_delivery.order_id IS 'Order number';
COMMENT ON COLUMN crm_order_delivery.parcel_no IS 'Position from 1';
COMMENT ON COLUMN crm_order_delivery.carrier IS 'novaposhta, ukrposhta, meest, rozetka, justin, or another as SalesDrive names it';
COMMENT ON COLUMN crm_order_delivery.service IS 'Kind of delivery: WarehouseWarehouse, WarehouseDoors, EXPRESS …';
COMMENT ON COLUMN crm_order_delivery.ttn IS 'Number of the waybill; NULL: none yet, or removed';
COMMENT ON COLUMN crm_order_delivery.ttn_ref IS 'Its id at the carrier';
COMMENT ON COLUMN crm_order_delivery.parent_ttn IS 'Waybill it belongs to';
COMMENT ON COLUMN crm_order_delivery.status IS 'Status of the parcel, in words of the carrier';
COMMENT ON COLUMN crm_order_delivery.status_code IS 'Its code';
COMMENT ON COLUMN crm_order_delivery.status_at IS 'When the status was asked last, local time of the account';
COMMENT ON COLUMN crm_order_delivery.area IS 'Area (область)';
COMMENT ON COLUMN crm_order_delivery.district IS 'District (район)';
COMMENT ON COLUMN crm_order_delivery.city IS 'Town';
COMMENT ON COLUMN crm_order_delivery.city_type IS 'Its kind: м., с., смт.';
COMMENT ON COLUMN crm_order_delivery.city_ref IS 'Its id at the carrier';
COMMENT ON COLUMN crm_order_delivery.settlement_ref IS 'Id of the settlement at the carrier';
COMMENT ON COLUMN crm_order_delivery.branch IS 'Number of the branch; of Ukrposhta its post code';
COMMENT ON COLUMN crm_order_delivery.branch_name IS 'Branch or parcel locker in words';
COMMENT ON COLUMN crm_order_delivery.branch_ref IS 'Its id at the carrier';
COMMENT ON COLUMN crm_order_delivery.street IS 'Street, for delivery to the door';
COMMENT ON COLUMN crm_order_delivery.house IS 'House';
COMMENT ON COLUMN crm_order_delivery.flat IS 'Flat';
COMMENT ON COLUMN crm_order_delivery.address IS 'All of it in one line';
COMMENT ON COLUMN crm_order_delivery.note IS 'Note of the address';
COMMENT ON COLUMN crm_order_delivery.payer IS 'Who pays the carrier: Sender or Recipient';
COMMENT ON COLUMN crm_order_delivery.payment_method IS 'How: Cash, NonCash';
COMMENT ON COLUMN crm_order_delivery.postpay IS 'Cash on delivery';
COMMENT ON COLUMN crm_order_delivery.postpay_sum IS 'Its sum';
COMMENT ON COLUMN crm_order_delivery.postpay_payer IS 'Who pays its transfer';
COMMENT ON COLUMN crm_order_delivery.cost IS 'What the carrier charges';
COMMENT ON COLUMN crm_order_delivery.cargo_type IS 'Kind of cargo';
COMMENT ON COLUMN crm_order_delivery.sender IS 'Sender in SalesDrive (delivery sender)';
COMMENT ON COLUMN crm_order_delivery.entity IS 'Number of the parcel within the order (idEntity)';
COMMENT ON COLUMN crm_order_delivery.expected_at IS 'When it is expected, local time of the account';
COMMENT ON COLUMN crm_order_delivery.received_at IS 'When it was received, local time of the account';
CREATE INDEX crm_order_delivery_ttn ON crm_order_delivery (ttn) WHERE ttn IS NOT NULL;
